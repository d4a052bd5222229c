//! A future is not its value.

async fn some_async_function() -> String {
    String::new()
}

async fn fetch_data() -> String {
    let result = some_async_function();
    result
}

fn main() {
    let _ = fetch_data();
}
