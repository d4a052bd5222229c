//! A future that nobody awaits does nothing.
#![deny(unused_must_use)]

async fn fetch_data() {}

async fn caller() {
    fetch_data();
}

fn main() {
    let _ = caller();
}
