//! Listing page by page: fills a page of ours from pages of the provider's.
//!
//! S3 lists from a key; Azure and GCS can as well, but only Azure's newer versions, and a token of
//! the provider's is cheaper. So the token that follows a page is remembered under the page's last
//! key, and going on from there costs one request.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;

use crate::{LIST_PAGE_MAX, ObjectHead, StoreError, keys::Keys};

/// Listings that a store remembers where to go on with.
const REMEMBERED_MAX: usize = 64;

/// What is asked of a provider. Names are those of the bucket.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// What names start with.
    pub(crate) prefix: &'a str,
    /// The name to start at; it may be given again.
    pub(crate) start: Option<&'a str>,
    /// The provider's token, when the listing goes on.
    pub(crate) token: Option<&'a str>,
    /// Most objects of the answer.
    pub(crate) size: usize,
}

/// A provider's answer. The keys are still names of the bucket.
pub(crate) struct Answer {
    pub(crate) heads: Vec<ObjectHead>,
    /// Set if there is more.
    pub(crate) token: Option<String>,
}

/// A provider that lists.
#[async_trait]
pub(crate) trait Pages: Sync {
    async fn page(&self, query: Query<'_>) -> Result<Answer, StoreError>;
}

/// Where listings go on: (prefix, last name) and the provider's token.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<VecDeque<((String, String), String)>>);

impl Tokens {
    fn take(&self, prefix: &str, last: &str) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = known.iter().position(|((p, l), _)| p == prefix && l == last)?;
        known.remove(place).map(|(_, token)| token)
    }

    fn keep(&self, prefix: &str, last: &str, token: String) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() == REMEMBERED_MAX {
            known.pop_front();
        }
        known.push_back(((prefix.to_owned(), last.to_owned()), token));
    }
}

/// One page of [`crate::Store::list`].
pub(crate) async fn list(
    pages: &impl Pages,
    tokens: &Tokens,
    keys: &Keys,
    prefix: &str,
    after: Option<&str>,
) -> Result<Vec<ObjectHead>, StoreError> {
    let prefix = keys.names(prefix);
    let after = after.map(|after| keys.names(after));
    let start = after.as_deref();
    let mut heads: Vec<ObjectHead> = Vec::new();
    let mut token = start.and_then(|last| tokens.take(&prefix, last));
    loop {
        let size = LIST_PAGE_MAX - heads.len();
        let query = |token| Query { prefix: &prefix, start, token, size };
        let mut answer = pages.page(query(token.as_deref())).await;
        // A remembered token may have expired; only the first can be one.
        if heads.is_empty() && token.is_some() && answer.is_err() {
            answer = pages.page(query(None)).await;
        }
        let answer = answer?;
        heads.extend(
            answer.heads.into_iter().filter(|head| start.is_none_or(|start| head.key.as_str() > start)),
        );
        let full = heads.len() >= LIST_PAGE_MAX;
        match answer.token {
            Some(next) if full => {
                if let Some(last) = heads.last() {
                    tokens.keep(&prefix, &last.key, next);
                }
                break;
            }
            Some(next) => token = Some(next),
            None => break,
        }
    }
    for head in &mut heads {
        head.key = keys
            .key(&head.key)
            .map(str::to_owned)
            .ok_or_else(|| StoreError::failed(&head.key, "the listing gave a name outside the prefix"))?;
    }
    Ok(heads)
}
