//! A child returns a `Result`, `()`, or never.

async fn caller() {
    let outcome = headcount::group(async |g| {
        g.spawn(async { 5 });
        Ok::<_, ()>(())
    });
    let _ = outcome.await;
}

fn main() {
    let _ = caller();
}
