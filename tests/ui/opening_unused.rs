//! A group that nobody awaits does nothing.
#![deny(unused_must_use)]

async fn caller() {
    headcount::group(async |g| {
        g.spawn(async {});
        Ok::<_, ()>(())
    });
}

fn main() {
    let _ = caller();
}
