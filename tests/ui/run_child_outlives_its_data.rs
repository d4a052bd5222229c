//! What a child of `run` borrows must live until `run` returns.

fn main() {
    let group = headcount::run(async |r| Ok::<_, ()>(r.clone())).unwrap();
    {
        let text = String::from("too short");
        group.spawn(async { assert_eq!(text, "too short") });
    }
    group.cancel();
}
