//! A service behind a gateway that tells what it was sent, header by header.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use serde_json::json;

/// More than any request of these tests.
const HEAD_MAX: u64 = 64 * 1024;

/// Starts one and tells its port. It ends with the process of the tests: it holds that port and nothing else.
pub(super) fn start() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound listener has an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(&stream));
        }
    });
    port
}

/// One request a connection, which HTTP allows.
fn answer(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.take(HEAD_MAX));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let (first, rest) = lines.split_first()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let headers: Vec<(String, &str)> = rest
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let told = json!({"method": method, "target": target, "headers": headers, "body": String::from_utf8_lossy(&body)});
    let told = told.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        told.len()
    );
    let mut stream = stream;
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(told.as_bytes()).ok()
}
