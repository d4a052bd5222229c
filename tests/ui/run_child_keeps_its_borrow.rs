//! An output that borrows cannot leave the place of what it borrows.

fn main() {
    let handle = {
        let text = String::from("too short");
        headcount::run(async |r| Ok::<_, ()>(r.spawn(async { Ok(&text) }))).unwrap()
    };
    drop(handle);
}
