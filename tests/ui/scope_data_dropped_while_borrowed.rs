//! What the children of a scope borrow stays borrowed until the scope's future is gone.

async fn caller() {
    let text = String::from("borrowed");
    let scope = headcount::scope(async |s| {
        s.spawn(async { assert_eq!(text, "borrowed") });
        Ok::<_, ()>(())
    });
    drop(text);
    let _ = scope.await;
}

fn main() {
    let _ = caller();
}
