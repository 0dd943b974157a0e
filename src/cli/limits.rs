//! The arguments of limits, whichever account they stand on.

use clap::Args;
use server_accounts::{BudgetData, LimitsData, QuotaData};

/// What may stand on an account.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct LimitArgs {
    /// Money that may be spent, like 12.50: a hard limit
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) budget: Option<String>,

    /// What the budget is for: each day, each month, or altogether
    #[arg(long, value_name = "day|month|total", default_value = "total", requires = "budget")]
    pub(crate) budget_period: String,

    /// Requests a minute
    #[arg(long, value_name = "N")]
    pub(crate) rpm: Option<u64>,

    /// Tokens a minute: so many of prompts, and so many generated
    #[arg(long, value_name = "N")]
    pub(crate) tpm: Option<u64>,

    /// Tokens of prompts a minute [default: --tpm]
    #[arg(long, value_name = "N")]
    pub(crate) input_tpm: Option<u64>,

    /// Generated tokens a minute [default: --tpm]
    #[arg(long, value_name = "N")]
    pub(crate) output_tpm: Option<u64>,

    /// Requests at once
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u64>,

    /// Units of a meter in each period, like output_tokens=1000000/month
    #[arg(long, value_name = "METER=N/PERIOD", value_parser = quota)]
    pub(crate) quota: Vec<QuotaData>,
}

impl LimitArgs {
    /// As they are kept; an error says which cannot be kept to.
    pub(crate) fn data(&self) -> anyhow::Result<LimitsData> {
        let budget = self
            .budget
            .clone()
            .map(|amount| BudgetData { period: self.budget_period.clone(), amount });
        let data = LimitsData {
            requests_per_minute: self.rpm,
            input_tokens_per_minute: self.input_tpm.or(self.tpm),
            output_tokens_per_minute: self.output_tpm.or(self.tpm),
            concurrent_requests: self.concurrency,
            quotas: self.quota.clone(),
            budgets: budget.into_iter().collect(),
        };
        data.limits()?;
        Ok(data)
    }
}

fn quota(text: &str) -> Result<QuotaData, String> {
    let error = || format!("`{text}` is no quota; write it like output_tokens=1000000/month");
    let (meter, rest) = text.split_once('=').ok_or_else(error)?;
    let (units, period) = rest.split_once('/').ok_or_else(error)?;
    let units = units.parse().map_err(|_| error())?;
    Ok(QuotaData { meter: meter.to_owned(), period: period.to_owned(), units })
}
