//! Downloads from the emulator.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Error, Result};

/// Downloads what a URL of the emulator names.
pub(crate) async fn get(url: &str) -> Result<Vec<u8>> {
    let unusable = || Error::Unexpected(format!("`{url}` is no URL of the emulator"));
    let rest = url.strip_prefix("http://").ok_or_else(unusable)?;
    let (host, path) = rest.split_once('/').ok_or_else(unusable)?;
    let answer = async {
        let mut stream = TcpStream::connect(host).await?;
        let request = format!("GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer.await.map_err(Error::aws("download"))?;
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.map_or(answer.len(), |at| at + 4));
    if head.split(|byte| *byte == b' ').nth(1) == Some(b"200") {
        Ok(body.to_vec())
    } else {
        let head = String::from_utf8_lossy(head);
        Err(Error::Unexpected(format!("{url}: {}", head.trim())))
    }
}
