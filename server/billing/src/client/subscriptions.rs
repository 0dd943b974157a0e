//! Subscriptions: looked up, changed, cancelled.

use super::form::Form;
use super::send::Call;
use super::{IdempotencyKey, Stripe, StripeError};
use crate::ids::{CustomerId, ItemId, PriceId, SubscriptionId};
use crate::objects::{List, Subscription};

/// What one item of a subscription becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemChange {
    /// One more price.
    Add(PriceId),
    /// An item gets another price.
    Replace(ItemId, PriceId),
    /// An item goes.
    Remove(ItemId),
}

/// What a subscription becomes; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// Its prices.
    pub items: Vec<ItemChange>,
    /// Whether it ends with the period that is paid.
    pub cancel_at_period_end: Option<bool>,
}

impl SubscriptionChange {
    fn form(&self) -> Form {
        let mut form = Form::new();
        for (idx, item) in self.items.iter().enumerate() {
            let (id, price) = match item {
                ItemChange::Add(price) => (None, Some(price)),
                ItemChange::Replace(id, price) => (Some(id), Some(price)),
                ItemChange::Remove(id) => (Some(id), None),
            };
            form = form
                .maybe(&format!("items[{idx}][id]"), id.map(ItemId::as_str))
                .maybe(&format!("items[{idx}][price]"), price.map(PriceId::as_str));
            if price.is_none() {
                form = form.flag(&format!("items[{idx}][deleted]"), true);
            }
        }
        if !self.items.is_empty() {
            // What is left of the fee that was paid is credited to the next.
            form = form.field("proration_behavior", "create_prorations");
        }
        match self.cancel_at_period_end {
            Some(at_end) => form.flag("cancel_at_period_end", at_end),
            None => form,
        }
    }
}

impl Stripe {
    /// A subscription as it is now.
    ///
    /// # Errors
    /// If Stripe has none of that id, or does not answer.
    pub async fn subscription(&self, id: &SubscriptionId) -> Result<Subscription, StripeError> {
        self.call(Call::get(&["subscriptions", id.as_str()], Form::new())).await
    }

    /// A customer's subscriptions, ended ones too; the newest 100.
    ///
    /// # Errors
    /// If Stripe does not answer.
    pub async fn subscriptions(&self, of: &CustomerId) -> Result<Vec<Subscription>, StripeError> {
        let form =
            Form::new().field("customer", of.as_str()).field("status", "all").field("limit", "100");
        let list: List<Subscription> = self.call(Call::get(&["subscriptions"], form)).await?;
        Ok(list.data)
    }

    /// Changes a subscription.
    ///
    /// # Errors
    /// If Stripe refuses, or does not answer.
    pub async fn update_subscription(
        &self,
        id: &SubscriptionId,
        change: &SubscriptionChange,
    ) -> Result<Subscription, StripeError> {
        let key = IdempotencyKey::random();
        self.call(Call::post(&["subscriptions", id.as_str()], change.form(), &key)).await
    }

    /// Ends a subscription now, with a last invoice of what was used.
    ///
    /// # Errors
    /// If Stripe has none of that id, or does not answer.
    pub async fn cancel_subscription(
        &self,
        id: &SubscriptionId,
    ) -> Result<Subscription, StripeError> {
        let form = Form::new().flag("invoice_now", true).flag("prorate", true);
        match self.call(Call::delete(&["subscriptions", id.as_str()], form)).await {
            // An earlier try has done it, and its answer was lost: one that has ended is no longer
            // there to be deleted, but there to be looked up.
            Err(refused) if refused.is_missing() => match self.subscription(id).await {
                Ok(ended) if ended.status.is_over() => Ok(ended),
                _ => Err(refused),
            },
            result => result,
        }
    }
}
