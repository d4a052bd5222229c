//! Children run on the runtime's threads, so they must be `Send`.

use std::rc::Rc;

async fn caller() {
    let outcome = headcount::group(async |g| {
        g.spawn(async {
            let shared = Rc::new(5);
            headcount::checkpoint().await;
            drop(shared);
        });
        Ok::<_, ()>(())
    });
    let _ = outcome.await;
}

fn main() {
    let _ = caller();
}
