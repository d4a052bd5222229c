//! The server: files of a folder over HTTP, on a loopback port.

use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_std::net::{TcpListener, TcpStream};
use headcount::TaskGroup;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use smol_hyper::rt::FuturesIo;

use super::census::Census;

/// How long the accept loop rests after an error, which most often is a want of file descriptors.
const REST: Duration = Duration::from_millis(20);

/// Serves `folder` until it is cancelled. Its connections are its children: they end with it.
pub async fn serve(listener: TcpListener, folder: PathBuf, census: Census) -> io::Result<()> {
    let folder: Arc<Path> = folder.into();
    let options = headcount::Options::new().name("server");
    let served = options.group(async |connections: TaskGroup<'static, super::Error>| {
        census.watch("server", &connections);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = census.child(converse(stream, folder.clone()));
                    connections.spawn_named("server connection", connection);
                }
                Err(_) => headcount::time::sleep(REST).await,
            }
        }
    });
    served.await.map_err(io::Error::other)
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, folder: Arc<Path>) {
    // Only costs speed.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let folder = folder.clone();
        async move { Ok::<_, std::convert::Infallible>(answer(request, &folder).await) }
    });
    // A client that goes away in the middle of a request is its own affair.
    let _ = http1::Builder::new()
        .serve_connection(FuturesIo::new(stream), service)
        .await;
}

async fn answer(request: Request<Incoming>, folder: &Path) -> Response<Full<Bytes>> {
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        let mut response = status(StatusCode::METHOD_NOT_ALLOWED);
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(ALLOW, allowed);
        return response;
    }
    let path = request.uri().path();
    let Some(mut file) = locate(folder, path) else {
        return status(StatusCode::NOT_FOUND);
    };
    if path.ends_with('/') {
        file.push("index.html");
    }
    let content_type = content_type(&file);
    // Blocking work has a thread of its own, and is waited for even if the client goes away.
    let found = headcount::unblock(move || find(&file, !head)).await;
    match found {
        Ok(Found::File { length, content }) => {
            let mut response = Response::new(Full::from(content));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert(CONTENT_LENGTH, length.into());
            response
        }
        Ok(Found::Folder) => {
            let mut response = status(StatusCode::MOVED_PERMANENTLY);
            match HeaderValue::try_from(format!("{path}/")) {
                Ok(location) => response.headers_mut().insert(LOCATION, location),
                Err(_) => return status(StatusCode::NOT_FOUND),
            };
            response
        }
        Err(error) => status(match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => StatusCode::NOT_FOUND,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }),
    }
}

fn status(code: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code;
    response
}

enum Found {
    File { length: u64, content: Vec<u8> },
    Folder,
}

fn find(path: &Path, read: bool) -> io::Result<Found> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Ok(Found::Folder);
    }
    // A pipe or a device may never end.
    if !metadata.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let content = if read {
        std::fs::read(path)?
    } else {
        Vec::new()
    };
    let length = if read {
        content.len() as u64
    } else {
        metadata.len()
    };
    Ok(Found::File { length, content })
}

/// The file that a path of a request means; none if it would lead out of the folder.
fn locate(folder: &Path, path: &str) -> Option<PathBuf> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let relative = Path::new(decoded.trim_start_matches('/'));
    let inside = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    (inside && !decoded.contains('\0')).then(|| folder.join(relative))
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("woff2") => "font/woff2",
        Some("txt" | "md" | "rs" | "toml") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = Path::new("docs");
        for path in [
            "/../x",
            "/a/../../x",
            "/%2e%2e/x",
            "/a/%2E%2E%2Fx",
            "/a%00",
            "/%FF",
        ] {
            assert_eq!(locate(folder, path), None, "{path}");
        }
        assert_eq!(locate(folder, "//etc/x"), Some("docs/etc/x".into()));
        assert_eq!(
            locate(folder, "/a%20b/c.html"),
            Some("docs/a b/c.html".into())
        );
        assert_eq!(locate(folder, "/"), Some("docs/".into()));
    }

    #[test]
    fn a_folder_is_told_from_a_file_and_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.html");
        std::fs::write(&file, "text").unwrap();
        assert!(matches!(find(folder.path(), true), Ok(Found::Folder)));
        let read = find(&file, true);
        assert!(matches!(read, Ok(Found::File { length: 4, content }) if content == b"text"));
        let seen = find(&file, false);
        assert!(matches!(seen, Ok(Found::File { length: 4, content }) if content.is_empty()));
        let beyond = find(&file.join("b.html"), true).err().unwrap();
        assert_eq!(beyond.kind(), ErrorKind::NotADirectory);
    }
}
