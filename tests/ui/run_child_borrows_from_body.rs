//! The body ends before its children, so they cannot borrow what it owns.

fn main() {
    let _ = headcount::run(async |r| {
        let text = String::from("owned by the body");
        r.spawn(async { assert_eq!(text, "owned by the body") });
        Ok::<_, ()>(())
    });
}
