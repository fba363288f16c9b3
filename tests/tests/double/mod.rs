//! A server that speaks HTTP as a test tells it to, byte for byte, and one that keeps a bucket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sana_runtime::store::s3::{S3Options, S3Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// What stands before the question mark, as it was sent.
    pub(crate) path: String,
    /// The parameters, decoded.
    pub(crate) query: BTreeMap<String, String>,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the server does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    HangUp,
}

type Script = dyn Fn(&Asked) -> Vec<Act> + Send + Sync;

/// A server on a port of its own, until it is dropped.
pub(crate) struct Double {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Double {
    /// Acts on every request as `script` says.
    pub(crate) async fn start(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, connections) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let script: Arc<Script> = Arc::new(script);
        let accepting = {
            let (asked, connections) = (Arc::clone(&asked), Arc::clone(&connections));
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(converse(stream, Arc::clone(&asked), Arc::clone(&script)));
                }
            })
        };
        Self { address, asked, connections, accepting }
    }

    /// Keeps a bucket, honouring these conditions of puts, by the names of their headers.
    pub(crate) async fn bucket(honoured: &'static [&'static str]) -> Self {
        let objects = Mutex::new(BTreeMap::new());
        Self::start(move |asked| {
            vec![Act::Send(serve(&mut objects.lock().unwrap(), honoured, asked))]
        })
        .await
    }

    /// The store of a bucket here.
    pub(crate) fn store(&self) -> S3Store {
        S3Store::new(self.options("p")).unwrap()
    }

    /// What one has to know to use the bucket here, under a prefix.
    pub(crate) fn options(&self, prefix: &str) -> S3Options {
        let endpoint = format!("http://{}", self.address);
        let variable = |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some(endpoint.clone()),
            "AWS_ACCESS_KEY_ID" => Some("AKID".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("very secret".to_owned()),
            _ => None,
        };
        S3Options::new(&format!("s3://bucket/{prefix}"), variable).unwrap()
    }

    /// The requests that came in since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn converse(mut stream: TcpStream, asked: Arc<Mutex<Vec<Asked>>>, script: Arc<Script>) {
    let mut unread = Vec::new();
    while let Some(request) = hear(&mut stream, &mut unread).await {
        let acts = script(&request);
        asked.lock().unwrap().push(request);
        for act in acts {
            match act {
                Act::Send(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Act::Wait(time) => tokio::time::sleep(time).await,
                Act::HangUp => return,
            }
        }
    }
}

/// The next request of a connection, whole.
async fn hear(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Asked> {
    let head_bytes = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        (stream.read_buf(unread).await.ok()? > 0).then_some(())?;
    };
    let head = String::from_utf8(unread.drain(..head_bytes).collect()).unwrap();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let body_bytes = headers.get("content-length").map_or(0, |bytes| bytes.parse().unwrap());
    while unread.len() < body_bytes {
        (stream.read_buf(unread).await.ok()? > 0).then_some(())?;
    }
    let body = unread.drain(..body_bytes).collect();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(name, value)| (decoded(name), decoded(value))).collect();
    Some(Asked { method, path: path.to_owned(), query, headers, body })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let (byte, after) = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap();
                (u8::from_str_radix(digits, 16).unwrap(), after)
            }
            _ => (first, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8(bytes).unwrap()
}

/// An answer with a body that is as long as it says.
pub(crate) fn answer(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} -\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An error as S3 sends it.
pub(crate) fn error(status: u16, code: &str) -> Vec<u8> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>what is wrong</Message><RequestId>1</RequestId></Error>"
    );
    answer(status, "Content-Type: application/xml\r\n", body.as_bytes())
}

/// A listing as S3 sends it.
pub(crate) fn listing(names: &[(&str, usize)], more: bool) -> Vec<u8> {
    let encoded =
        |name: &str| name.bytes().fold(String::new(), |name, byte| name + &format!("%{byte:02X}"));
    let token = if more { "<NextContinuationToken>next</NextContinuationToken>" } else { "" };
    let contents = names.iter().fold(String::new(), |contents, (name, bytes)| {
        let name = encoded(name);
        contents + &format!("<Contents><Key>{name}</Key><Size>{bytes}</Size></Contents>")
    });
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name>\
         <EncodingType>url</EncodingType><IsTruncated>{more}</IsTruncated>{token}{contents}\
         </ListBucketResult>"
    );
    answer(200, "Content-Type: application/xml\r\n", body.as_bytes())
}

type Objects = BTreeMap<String, Vec<u8>>;

/// Answers as S3 does, as far as Sana asks. Tags are derived from contents.
fn serve(objects: &mut Objects, honoured: &[&str], asked: &Asked) -> Vec<u8> {
    let path = decoded(&asked.path);
    let name = path.strip_prefix("/bucket/").unwrap_or_else(|| panic!("{path}"));
    let header = |name: &str| asked.headers.get(name).map(String::as_str);
    let held = objects.get(name).cloned();
    let tag = |body: &[u8]| {
        let sum = body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(*byte));
        format!("\"{sum:x}-{}\"", body.len())
    };
    let etag = |body: &[u8]| format!("ETag: {}\r\n", tag(body));
    match (&*asked.method, held) {
        ("GET", _) if name.is_empty() => {
            let text = |name: &str| asked.query.get(name).map_or("", String::as_str);
            let (prefix, after) = (text("prefix"), text("start-after"));
            let mut names: Vec<(&str, usize)> =
                objects.iter().map(|(name, body)| (name.as_str(), body.len())).collect();
            names.retain(|(name, _)| name.starts_with(prefix) && *name > after);
            let limit = text("max-keys").parse().unwrap();
            let more = names.len() > limit;
            names.truncate(limit);
            listing(&names, more)
        }
        ("GET" | "HEAD", None) => error(404, "NoSuchKey"),
        ("HEAD", Some(body)) => {
            let head = format!("{}Content-Length: {}", etag(&body), body.len());
            format!("HTTP/1.1 200 -\r\n{head}\r\n\r\n").into_bytes()
        }
        ("GET", Some(body)) if header("if-none-match") == Some(&tag(&body)) => {
            format!("HTTP/1.1 304 -\r\n{}\r\n", etag(&body)).into_bytes()
        }
        ("GET", Some(body)) => {
            let Some(range) = header("range") else { return answer(200, &etag(&body), &body) };
            let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            if first >= body.len() {
                return error(416, "InvalidRange");
            }
            let last = last.min(body.len() - 1);
            let span = format!("Content-Range: bytes {first}-{last}/{}\r\n", body.len());
            answer(206, &(etag(&body) + &span), &body[first..=last])
        }
        ("PUT", held) => {
            let honours = |name: &'static str| header(name).filter(|_| honoured.contains(&name));
            match (honours("if-match"), &held) {
                (Some(_), None) => return error(404, "NoSuchKey"),
                (Some(wanted), Some(held)) if wanted != tag(held) => {
                    return error(412, "PreconditionFailed");
                }
                _ => {}
            }
            if honours("if-none-match").is_some() && held.is_some() {
                return error(412, "PreconditionFailed");
            }
            objects.insert(name.to_owned(), asked.body.clone());
            answer(200, &etag(&asked.body), b"")
        }
        ("DELETE", _) => {
            objects.remove(name);
            b"HTTP/1.1 204 -\r\n\r\n".to_vec()
        }
        (method, _) => panic!("{method}"),
    }
}
