//! A child of a group runs in parallel and may outlive the opener's stack: it cannot borrow.

async fn caller() {
    let text = String::from("borrowed");
    let outcome = headcount::group(async |g| {
        g.spawn(async { assert_eq!(text, "borrowed") });
        Ok::<_, ()>(())
    });
    let _ = outcome.await;
}

fn main() {
    let _ = caller();
}
