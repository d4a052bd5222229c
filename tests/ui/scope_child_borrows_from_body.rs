//! The body ends before its children, so they cannot borrow what it owns.

async fn caller() {
    let outcome = headcount::scope(async |s| {
        let text = String::from("owned by the body");
        s.spawn(async { assert_eq!(text, "owned by the body") });
        Ok::<_, ()>(())
    });
    let _ = outcome.await;
}

fn main() {
    let _ = caller();
}
