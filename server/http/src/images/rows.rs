//! From images to rows at their places in a prompt.
//!
//! Invariant: an image is decoded and encoded only after the prompt was seen to fit the context;
//! one at a time of each request, and the same image of a tenant once. Who goes away takes what
//! waits out of the queue.

use std::future::poll_fn;
use std::sync::Arc;

use engine_core::{Inset, InsetRows, RequestError, TokenId};
use scheduler_batching::{EncodeRefusal, SubmitError};

use super::{Image, Images, refused};
use crate::blocking::run_sized;
use crate::source::Source;
use crate::ticket::Life;
use crate::{ApiError, AppState};

impl Images {
    /// The rows of all images, at the places that `tokens` have for them.
    pub(crate) async fn insets(
        self,
        state: &AppState,
        source: &Source,
        tokens: &[TokenId],
    ) -> Result<Vec<Inset>, ApiError> {
        let mut all = Vec::with_capacity(self.all.len());
        for image in &self.all {
            all.push(self.rows(state, source, image).await?);
        }
        Ok(places(tokens, self.vision.marks().token, &all))
    }

    async fn rows(
        &self,
        state: &AppState,
        source: &Source,
        image: &Image,
    ) -> Result<InsetRows, ApiError> {
        let tenant = &source.caller.tenant;
        if let Some(rows) = self.vision.cache.get(tenant, &image.id) {
            return Ok(rows);
        }
        let mut life = Life::of_current(source.params.timeout);
        life.check()?;
        let turn = self.vision.cache.turn(tenant, &image.id);
        let _turn = tokio::select! {
            biased;
            error = poll_fn(|cx| life.poll_over(cx)) => return Err(error),
            turn = turn.lock() => turn,
        };
        if let Some(rows) = self.vision.cache.get(tenant, &image.id) {
            return Ok(rows);
        }
        let (reader, bytes) = (Arc::clone(&self.vision.reader), Arc::clone(&image.bytes));
        // Small ones too: what they are when decoded is another size.
        let input = run_sized(state, usize::MAX, move || reader.read(&bytes)).await?;
        let input = input.map_err(|error| refused(&error, &image.place))?;
        let submitted = self.vision.handle.submit(tenant, vec![Arc::new(input)]);
        let rows = submitted.map_err(|refusal| not_taken(&refusal))?;
        let rows = tokio::select! {
            biased;
            error = poll_fn(|cx| life.poll_over(cx)) => return Err(error),
            rows = rows => rows.map_err(|error| failed(&error))?,
        };
        let rows = rows.into_iter().next().ok_or_else(ApiError::internal)?;
        let rows = InsetRows::new(image.id, self.vision.marks().width, rows);
        if rows.num_rows() != image.plan.num_rows {
            return Err(ApiError::internal());
        }
        self.vision.cache.put(tenant, &rows);
        Ok(rows)
    }
}

fn not_taken(refusal: &EncodeRefusal) -> ApiError {
    match refusal {
        EncodeRefusal::QueueFull { waiting, retry_after_s } => {
            let message = format!("The queue is full: {waiting} images are waiting. Retry later.");
            ApiError::unavailable("queue_full", message, *retry_after_s)
        }
        EncodeRefusal::ShuttingDown => ApiError::from_submit(SubmitError::ShuttingDown, "messages"),
        // The reader makes what its encoder takes.
        EncodeRefusal::Invalid { .. } => ApiError::internal(),
    }
}

fn failed(error: &RequestError) -> ApiError {
    ApiError::from_request(error, "messages")
}

/// Gives each image's rows the next places of the token that stands for one.
fn places(tokens: &[TokenId], token: TokenId, images: &[InsetRows]) -> Vec<Inset> {
    let all = (0_u32..).zip(tokens).filter(|(_, found)| **found == token);
    let mut places = all.map(|(at, _)| at);
    let mut insets: Vec<Inset> = Vec::new();
    for rows in images {
        for (row, at) in (0..rows.num_rows() as u32).zip(places.by_ref()) {
            match insets.last_mut() {
                Some(last) if row > 0 && last.positions().end == at as usize => last.len += 1,
                _ => insets.push(Inset { at, len: 1, rows: rows.clone(), first_row: row }),
            }
        }
    }
    insets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_places_are_one_inset_and_images_are_apart() {
        let rows = |id: u8, num: usize| InsetRows::new([id; 32], 1, vec![0.0; num]);
        let tokens = [1, 9, 9, 2, 9, 9, 9, 9, 3, 9];
        let images = [rows(1, 3), rows(2, 2), rows(2, 2)];
        let insets = places(&tokens, 9, &images);
        let got = insets.iter().map(|i| (i.at, i.len, i.first_row, i.rows.id()[0]));
        let expect = [(1, 2, 0, 1), (4, 1, 2, 1), (5, 2, 0, 2), (7, 1, 0, 2), (9, 1, 1, 2)];
        assert_eq!(got.collect::<Vec<_>>(), expect);
        assert!(insets.iter().all(|inset| inset.fits(tokens.len())));
    }
}
