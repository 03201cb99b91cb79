//! Heads: gathered from pieces, read, and written.

use std::borrow::Cow;
use std::mem;

use super::HttpError;
use crate::machine::limits::Limits;

/// A whole head, and how many of the bytes at hand belong to it.
pub(super) type Whole<'a> = (Cow<'a, [u8]>, usize);

/// Finds the end of a head in bytes that may come in pieces.
#[derive(Debug)]
pub(super) struct Gather {
    start: &'static [u8],
    limit: usize,
    headers: usize,
    bytes: Vec<u8>,
    seen: usize,
    last: u8,
    in_line: bool,
    finished: bool,
}

impl Gather {
    /// A head that begins with `start`, or with anything if that is empty.
    pub(super) const fn new(start: &'static [u8], limits: &Limits) -> Self {
        let (limit, headers) = (limits.http_head, limits.http_headers);
        Self { start, limit, headers, bytes: Vec::new(), seen: 0, last: 0, in_line: true, finished: false }
    }

    /// The whole head and how many of these bytes belong to it; none if more must come.
    pub(super) fn take<'a>(&mut self, data: &'a [u8]) -> Result<Option<Whole<'a>>, HttpError> {
        if self.finished {
            return Err(HttpError::Finished);
        }
        let end = self.scan(data).inspect_err(|_| self.finish())?;
        let Some(own) = end.and_then(|end| data.get(..end)) else {
            self.keep(data);
            return Ok(None);
        };
        if self.bytes.is_empty() {
            self.finish();
            return Ok(Some((Cow::Borrowed(own), own.len())));
        }
        self.keep(own);
        let gathered = mem::take(&mut self.bytes);
        self.finish();
        Ok(Some((Cow::Owned(gathered), own.len())))
    }

    /// Most header lines.
    pub(super) const fn headers(&self) -> usize {
        self.headers
    }

    /// Grows by doubling, but to no more than the limit.
    fn keep(&mut self, data: &[u8]) {
        let len = self.bytes.len() + data.len();
        if len > self.bytes.capacity() {
            let capacity = (2 * self.bytes.capacity()).min(self.limit).max(len);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
    }

    fn finish(&mut self) {
        self.finished = true;
        self.bytes = Vec::new();
    }

    /// Where these bytes end the head: behind the first empty line that is not the very first.
    fn scan(&mut self, data: &[u8]) -> Result<Option<usize>, HttpError> {
        for (at, byte) in data.iter().enumerate() {
            if self.start.get(self.seen).is_some_and(|expected| expected != byte) {
                return Err(HttpError::NotHttp);
            }
            self.seen += 1;
            if self.seen > self.limit {
                return Err(HttpError::HeadTooLarge { limit: self.limit });
            }
            if (self.last == b'\r') != (*byte == b'\n') {
                return Err(HttpError::LineEnd);
            }
            self.last = *byte;
            match byte {
                b'\n' if !self.in_line => return Ok(Some(at + 1)),
                b'\n' => self.in_line = false,
                b'\r' => {}
                _ => self.in_line = true,
            }
        }
        Ok(None)
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// The header lines of a head.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<httparse::Header<'a>>);

impl<'a> Fields<'a> {
    /// The values of all lines of this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| str::from_utf8(header.value).unwrap_or("\u{fffd}").trim_matches([' ', '\t']))
    }

    /// The value of the only line of this name; `twice` if there are several.
    pub(super) fn one(&self, name: &str, twice: HttpError) -> Result<Option<&'a str>, HttpError> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(twice) } else { Ok(first) }
    }

    /// The elements of a list, which may span several lines (RFC 9110, section 5.6.1).
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(|element| element.trim_matches([' ', '\t']))
            .filter(|element| !element.is_empty())
    }

    /// Whether a list has this element, in any case.
    pub(super) fn has(&self, name: &str, element: &str) -> bool {
        self.list(name).any(|found| found.eq_ignore_ascii_case(element))
    }

    /// Refuses what two readers could take for different lengths (RFC 9112, section 6.3).
    pub(super) fn check_length(&self) -> Result<Option<&'a str>, HttpError> {
        let length = self.one("content-length", HttpError::TwoLengths)?;
        if length.is_some() && self.all("transfer-encoding").next().is_some() {
            return Err(HttpError::LengthAndEncoding);
        }
        Ok(length)
    }
}

/// A request's first line and fields.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) is_11: bool,
    pub(super) fields: Fields<'a>,
}

/// A response's first line and fields.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) status: u16,
    pub(super) is_11: bool,
    pub(super) fields: Fields<'a>,
}

pub(super) fn parse_request(head: &[u8], limit: usize) -> Result<Request<'_>, HttpError> {
    let mut headers = vec![httparse::EMPTY_HEADER; limit];
    let mut parsed = httparse::Request::new(&mut headers);
    complete(parsed.parse(head), limit)?;
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(HttpError::Malformed("its first line is missing".to_owned()));
    };
    let count = parsed.headers.len();
    headers.truncate(count);
    Ok(Request { method, target, is_11: version == 1, fields: Fields(headers) })
}

pub(super) fn parse_response(head: &[u8], limit: usize) -> Result<Response<'_>, HttpError> {
    let mut headers = vec![httparse::EMPTY_HEADER; limit];
    let mut parsed = httparse::Response::new(&mut headers);
    complete(parsed.parse(head), limit)?;
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else {
        return Err(HttpError::Malformed("its first line is missing".to_owned()));
    };
    let count = parsed.headers.len();
    headers.truncate(count);
    Ok(Response { status, is_11: version == 1, fields: Fields(headers) })
}

fn complete(result: httparse::Result<usize>, limit: usize) -> Result<(), HttpError> {
    match result {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) => Err(HttpError::Malformed("it ends too early".to_owned())),
        Err(httparse::Error::TooManyHeaders) => Err(HttpError::TooManyHeaders { limit }),
        Err(httparse::Error::Version) => Err(HttpError::Version),
        Err(error) => Err(HttpError::Malformed(error.to_string())),
    }
}

/// Whether this is a name of a header, method or subprotocol (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether this can stand in a first line: visible ASCII without spaces.
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether this can be a header's value: no control characters but the tab (RFC 9110, section 5.5).
pub(super) fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}
