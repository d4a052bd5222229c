//! Fetching many things at once, some of which cannot be had.
//!
//! What Python calls `gather(*tasks, return_exceptions=True)`: every outcome in its place, and no
//! failure touches the others. A panic is an outcome too.
//!
//! ```console
//! $ cargo run --example fetch_users
//! ```

mod http;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_std::net::TcpListener;
use headcount::{GroupError, TaskError, gather_settled, run, time::sleep, timeout};
use hyper::StatusCode;

struct User {
    name: String,
    email: String,
}

async fn fetch_user(server: SocketAddr, id: u32) -> anyhow::Result<User> {
    let path = format!("/users/{id}");
    let (status, text) = timeout(Duration::from_secs(5), http::get(server, &path)).await??;
    anyhow::ensure!(status.is_success(), "{status}");
    let user: serde_json::Value = serde_json::from_str(&text)?;
    let field = |name| match user[name].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => anyhow::bail!("the answer has no field `{name}`"),
    };
    Ok(User {
        name: field("name")?,
        email: field("email")?,
    })
}

/// The server: three users, one that is not there, one whose record is broken.
async fn users(path: String) -> (StatusCode, String) {
    sleep(Duration::from_millis(50)).await; // all of them wait for this at the same time
    let user =
        |name: &str| serde_json::json!({ "name": name, "email": format!("{name}@example.org") });
    match path.as_str() {
        "/users/1" => (StatusCode::OK, user("ada").to_string()),
        "/users/2" => (StatusCode::OK, user("grace").to_string()),
        "/users/4" => (StatusCode::OK, r#"{ "name": "nobody" }"#.to_owned()),
        "/users/5" => (StatusCode::OK, user("barbara").to_string()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    }
}

fn main() -> Result<(), GroupError<io::Error>> {
    run(async |g| {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = listener.local_addr()?;
        g.spawn_daemon(http::serve(listener, users));

        let outcomes = gather_settled((1..=5).map(|id| fetch_user(server, id))).await;
        for (id, outcome) in (1..).zip(&outcomes) {
            match outcome {
                Ok(user) => println!("user {id}: {} <{}>", user.name, user.email),
                Err(TaskError::Failed(error)) => println!("user {id}: {error}"),
                // It panicked or was cancelled.
                Err(other) => println!("user {id}: {other}"),
            }
        }
        let users: Vec<User> = outcomes.into_iter().flatten().collect();
        println!("{} of 5 users", users.len());
        Ok(())
    })
}
