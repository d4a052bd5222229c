//! What was released is gone: it cannot be released, or used, again.

async fn caller() {
    let resource = headcount::defer(String::new(), async |_| ());
    _ = resource.close().await;
    _ = resource.close().await;
}

fn main() {
    let _ = caller();
}
