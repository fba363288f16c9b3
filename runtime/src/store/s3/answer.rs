//! What an answer means: every status, every flaw of it.

use core::str::from_utf8;
use core::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, RETRY_AFTER};
use rusty_s3::actions::ListObjectsV2;
use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::machine::request::{ByteRange, Listed, Reply, Request, Tag, When};

use super::ask::{Names, span};
use super::fault::Fault;
use super::transport::Answer;

/// The status of an answer to a part that begins behind the end.
pub(super) const STATUS_BEHIND_END: u16 = 416;
/// Clocks that are this far apart may be why a signature is refused, in milliseconds.
const CLOCKS_APART_MIN: i64 = 60_000;

/// What an answer to a request means.
pub(super) fn reply(names: &Names, request: &Request, answer: &Answer) -> Result<Reply, Fault> {
    let code = (answer.status >= 300).then(|| code(&answer.body)).flatten();
    let code = code.as_deref();
    match (request, answer.status) {
        (Request::Get { range, unless, .. }, 200 | 206) => {
            let tag = tag(&answer.headers)?;
            if unless.as_ref() == Some(&tag) {
                return Ok(Reply::NotModified);
            }
            let body =
                if answer.status == 206 { part(*range, answer) } else { cut(*range, answer) };
            Ok(Reply::Found { tag, body: body? })
        }
        (Request::Get { unless: Some(_), .. }, 304) => Ok(Reply::NotModified),
        (Request::Get { .. }, 404) if code == Some("NoSuchKey") => Ok(Reply::Missing),
        (Request::Put { .. }, 200) => Ok(Reply::Stored { tag: tag(&answer.headers)? }),
        (Request::Put { .. }, 412) => Ok(Reply::Refused),
        // Another conditional write to the same object was under way. Whether our condition held is
        // not said; that the write did not happen is.
        (Request::Put { .. }, 409)
            if matches!(code, Some("ConditionalRequestConflict" | "OperationAborted")) =>
        {
            Ok(Reply::Refused)
        }
        (Request::Put { when: When::Matches(_), .. }, 404) if code == Some("NoSuchKey") => {
            Ok(Reply::Refused)
        }
        (Request::Delete { .. }, 200 | 204) => Ok(Reply::Deleted),
        (Request::Delete { .. }, 404) if code == Some("NoSuchKey") => Ok(Reply::Deleted),
        (Request::List { prefix, after, limit }, 200) => {
            page(names, prefix, after.as_ref(), *limit, &answer.body)
        }
        _ => Err(fault(answer, code)),
    }
}

/// What it means that a part lies behind the end: `head` tells of which version, unless the object
/// was changed meanwhile.
pub(super) fn behind_end(request: &Request, head: &Answer) -> Result<Reply, Fault> {
    let Request::Get { range: Some(range), unless, .. } = request else {
        return Err(Fault::Unclear("a part that nobody asked for".to_owned()));
    };
    match head.status {
        200 => {
            let tag = tag(&head.headers)?;
            let bytes = number(&head.headers, CONTENT_LENGTH.as_str());
            if unless.as_ref() == Some(&tag) {
                Ok(Reply::NotModified)
            } else if bytes.is_some_and(|bytes| bytes <= range.start) {
                Ok(Reply::Found { tag, body: Blob::default() })
            } else {
                Err(Fault::Unclear("a part is not there, and the object is longer".to_owned()))
            }
        }
        404 => Ok(Reply::Missing),
        _ => Err(fault(head, None)),
    }
}

fn tag(headers: &HeaderMap) -> Result<Tag, Fault> {
    let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.is_empty());
    tag.map(Tag::new).ok_or_else(|| Fault::Unclear("an answer without an ETag".to_owned()))
}

/// The part of a whole object that was asked for.
fn cut(range: Option<ByteRange>, answer: &Answer) -> Result<Blob, Fault> {
    let body = Blob::from(answer.body.clone());
    let Some(range) = range else { return Ok(body) };
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
    let part = body.slice(position(range.start), position(range.end));
    part.ok_or_else(|| Fault::Unclear("a part that ends before it begins".to_owned()))
}

/// The part that was sent, if it is the one that was asked for.
fn part(range: Option<ByteRange>, answer: &Answer) -> Result<Blob, Fault> {
    let wrong = || Fault::Unclear("a part that was not asked for".to_owned());
    let range = range.ok_or_else(wrong)?;
    let (first, last) = span(range);
    let sent = answer.headers.get(CONTENT_RANGE).and_then(|sent| sent.to_str().ok());
    let (from, until, whole) = sent.and_then(content_range).ok_or_else(wrong)?;
    let is_asked = from == first && until == last.min(whole.saturating_sub(1));
    let bytes = until.checked_sub(from).map(|bytes| bytes + 1);
    if !is_asked || bytes != Some(answer.body.len() as u64) {
        return Err(wrong());
    }
    let body = Blob::from(answer.body.clone());
    // A part without bytes was asked for as one byte.
    if range.start < range.end { Ok(body) } else { Ok(Blob::default()) }
}

/// First byte, last byte and size of the whole in `bytes 3-6/10`.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, until) = span.split_once('-')?;
    Some((from.parse().ok()?, until.parse().ok()?, whole.parse().ok()?))
}

/// A page of names, if it is one that answers the request: of that prefix, in order, not too many.
fn page(
    names: &Names,
    prefix: &Key,
    after: Option<&Key>,
    limit: u32,
    body: &[u8],
) -> Result<Reply, Fault> {
    let unclear = |what: &str| Fault::Unclear(format!("a listing that {what}"));
    let text = from_utf8(body).map_err(|_| unclear("is no text"))?;
    let parsed = ListObjectsV2::parse_response(text).map_err(|_| unclear("cannot be read"))?;
    let mut objects: Vec<Listed> = Vec::with_capacity(parsed.contents.len());
    for object in parsed.contents {
        let key = names.key(&object.key).filter(|key| key.as_str().starts_with(prefix.as_str()));
        let key = key.ok_or_else(|| unclear("names what was not asked for"))?;
        if objects.last().map(|last| &last.key).or(after).is_some_and(|last| *last >= key) {
            return Err(unclear("is not in order"));
        }
        let bytes = object.size.ok_or_else(|| unclear("tells no sizes"))?;
        objects.push(Listed { key, bytes });
    }
    if objects.len() > limit as usize {
        return Err(unclear("is longer than was asked for"));
    }
    let more = parsed.next_continuation_token.is_some();
    if more && objects.is_empty() {
        return Err(unclear("goes on and names nothing"));
    }
    Ok(Reply::Listed { objects, more })
}

/// Why a request failed that was answered so.
fn fault(answer: &Answer, code: Option<&str>) -> Fault {
    let status = answer.status;
    let is_busy = code.is_some_and(|code| {
        code.starts_with("SlowDown")
            || matches!(code, "TooManyRequests" | "Throttling" | "RequestLimitExceeded")
    });
    if status == 429 || (status == 503 && is_busy) {
        let pause = number(&answer.headers, RETRY_AFTER.as_str()).map(Duration::from_secs);
        return Fault::Busy { code: code.unwrap_or("TooManyRequests").to_owned(), pause };
    }
    let is_apart = answer.apart.abs() >= CLOCKS_APART_MIN;
    if is_apart && matches!(code, Some("RequestTimeTooSkewed" | "AccessDenied" | "RequestExpired"))
    {
        return Fault::Clock { ahead: answer.ahead };
    }
    if let Some(region) = moved(answer, code) {
        let advice = format!("the bucket is in another region: set AWS_REGION to {region}");
        return Fault::Refused { status, code: code.unwrap_or("redirect").to_owned(), advice };
    }
    match code {
        // The store was not able to take the request in: it says so before it does anything.
        Some(code) if matches!(status, 400..=499 | 501) => {
            Fault::Refused { status, code: code.to_owned(), advice: advice(code, &answer.body) }
        }
        _ => Fault::Unclear(format!("status {status} {}", code.unwrap_or_default())),
    }
}

/// The region in which the bucket is, if the answer says that it is not here.
fn moved(answer: &Answer, code: Option<&str>) -> Option<String> {
    let moved = matches!(answer.status, 301 | 307 | 308)
        || matches!(code, Some("PermanentRedirect" | "AuthorizationHeaderMalformed"));
    let header = answer.headers.get("x-amz-bucket-region").and_then(|it| it.to_str().ok());
    let region = || {
        let named = header.map(str::to_owned).or_else(|| element(&answer.body, "Region"));
        named.unwrap_or_else(|| "the bucket's".to_owned())
    };
    moved.then(region)
}

/// What can be done about an error of this code.
fn advice(code: &str, body: &[u8]) -> String {
    let known = match code {
        "InvalidAccessKeyId" => "the store does not know this access key: set AWS_ACCESS_KEY_ID",
        "SignatureDoesNotMatch" => {
            "the secret does not belong to the access key: set AWS_SECRET_ACCESS_KEY"
        }
        "ExpiredToken" | "TokenRefreshRequired" => {
            "the temporary credentials have expired: set fresh AWS_ACCESS_KEY_ID, \
             AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN and start again"
        }
        "InvalidToken" => "set AWS_SESSION_TOKEN to the token that belongs to the access key",
        "AccessDenied" | "AccountProblem" | "AllAccessDisabled" => {
            "these credentials may not do that: grant s3:ListBucket on the bucket, and \
             s3:GetObject, s3:PutObject and s3:DeleteObject on its objects"
        }
        "NoSuchBucket" => {
            "there is no such bucket: create it, or set AWS_ENDPOINT_URL (or AWS_REGION) to where \
             it is"
        }
        "NotImplemented" => "the store cannot do what was asked",
        _ => return element(body, "Message").unwrap_or_else(|| "it does not say why".to_owned()),
    };
    known.to_owned()
}

/// The store's word for what went wrong.
fn code(body: &[u8]) -> Option<String> {
    let start = body.get(..body.len().min(1_024))?;
    // The body of an object may hold anything; that of an error is one.
    start.windows(7).any(|window| window == b"<Error>").then(|| element(body, "Code"))?
}

/// The text of the first element of this name, if it is short and plain.
fn element(body: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(8_192))?);
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let is_plain = text.len() <= 512 && !text.contains(|c: char| c.is_control() || c == '<');
    is_plain.then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}
