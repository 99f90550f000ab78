use infirmary_kernel::{Limit, MAX_PAGE_ITEMS, Page, PageRequest};

use super::Refusal;

/// As many of a list as one answer holds; there was no limit there, and no person reads as far.
pub const MAX_ITEMS: usize = 1_000;

/// The first [`MAX_ITEMS`] of a list that is given in pages.
pub async fn whole<T>(mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>, Refusal>) -> Result<Vec<T>, Refusal> {
    let mut request = PageRequest { limit: Limit::new(MAX_PAGE_ITEMS)?, after: None };
    let mut items = Vec::new();
    loop {
        let found = page(request.clone()).await?;
        items.extend(found.items);
        request.after = found.next;
        if request.after.is_none() || items.len() >= MAX_ITEMS {
            items.truncate(MAX_ITEMS);
            return Ok(items);
        }
    }
}
