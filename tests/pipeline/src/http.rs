//! Requests to the emulator by a URL alone.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// Downloads what a URL of the emulator names.
pub(crate) async fn get(url: &str) -> Result<Vec<u8>> {
    let (head, body) = exchange("GET", url, b"").await?;
    if status(&head) == Some("200") {
        Ok(body)
    } else {
        Err(Error::Unexpected(format!("{url}: {}", head.trim())))
    }
}

/// Uploads to a URL of the emulator, and returns the status that it answers with.
pub async fn put(url: &str, content: &[u8]) -> Result<String> {
    let (head, _) = exchange("PUT", url, content).await?;
    Ok(status(&head).unwrap_or_default().to_owned())
}

fn status(head: &str) -> Option<&str> {
    head.split(' ').nth(1)
}

/// Asks once, and returns the head and the body of the answer.
async fn exchange(method: &'static str, url: &str, content: &[u8]) -> Result<(String, Vec<u8>)> {
    let unusable = || Error::Unexpected(format!("`{url}` is no URL of the emulator"));
    let rest = url.strip_prefix("http://").ok_or_else(unusable)?;
    let (host, path) = rest.split_once('/').ok_or_else(unusable)?;
    let answer = async {
        let mut stream = TcpStream::connect(host).await?;
        let length = content.len();
        let request = format!(
            "{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        stream.write_all(content).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(Error::aws(method))?;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.map_or(answer.len(), |at| at + 4));
    Ok((String::from_utf8_lossy(head).into_owned(), body.to_vec()))
}
