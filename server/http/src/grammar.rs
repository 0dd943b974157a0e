//! What an answer must match: from the several names that clients have for it to one grammar.
//!
//! Invariant: grammars are compiled on blocking threads, a bounded number at a time, tenants in
//! turn, and within a deadline; one that cannot be honoured is refused, and none is loosened but
//! that of a schema that is not to be strict.

use std::sync::Arc;

use axum::http::StatusCode;
use engine_core::{Grammar, StopRules, TenantId};
use engine_grammar::{Calls, CompileError, Source, loosened};
use serde_json::Value;
use server_api::{GenerationOptions, ResponseFormat, StructuredOutputs};

use crate::{ApiError, AppState, ServedModel};

/// A grammar, and the option that it came from.
#[derive(Debug)]
pub(crate) struct Asked {
    param: &'static str,
    source: Source,
    /// The fields that the schemas of its calls come from.
    schemas: Vec<String>,
}

impl Asked {
    /// What an option asks for.
    fn new(param: &'static str, source: Source) -> Self {
        Self { param, source, schemas: Vec::new() }
    }

    /// Calls that the model must or may make.
    pub(crate) fn calls((calls, schemas): (Calls, Vec<String>)) -> Self {
        Self { param: "tools", source: Source::Calls(calls), schemas }
    }

    /// The same, or such calls.
    pub(crate) fn or(self, (calls, schemas): (Calls, Vec<String>)) -> Self {
        Self { source: Source::CallsOr(calls, Box::new(self.source)), schemas, ..self }
    }
}

/// 400: an answer cannot be a call and something else.
pub(crate) fn excludes_calls(asked: &Asked) -> ApiError {
    let message =
        format!("'{}' and a 'tool_choice' that requires a call exclude each other.", asked.param);
    ApiError::invalid(Some("tool_choice"), message)
}

/// The grammar that the options ask for.
pub(crate) fn asked(options: &GenerationOptions) -> Result<Option<Asked>, ApiError> {
    let mut all = Vec::new();
    if let Some(format) = &options.response_format {
        all.extend(response_format(format)?.map(|source| ("response_format", source)));
    }
    if let Some(outputs) = &options.structured_outputs {
        all.extend(structured_outputs(outputs)?);
    }
    if let Some(schema) = &options.guided_json {
        all.push(("guided_json", Source::JsonSchema(schema_or_text("guided_json", schema)?)));
    }
    let regex = options.guided_regex.clone().map(Source::Regex);
    let choice = options.guided_choice.clone().map(Source::Choice);
    let grammar = options.guided_grammar.clone().map(Source::Grammar);
    all.extend(regex.map(|regex| ("guided_regex", regex)));
    all.extend(choice.map(|choice| ("guided_choice", choice)));
    all.extend(grammar.map(|grammar| ("guided_grammar", grammar)));
    if let [(first, _), (second, _), ..] = all.as_slice() {
        let message = format!("'{first}' and '{second}' exclude each other.");
        return Err(ApiError::invalid(Some(second), message));
    }
    Ok(all.pop().map(|(param, source)| Asked::new(param, source)))
}

fn response_format(format: &ResponseFormat) -> Result<Option<Source>, ApiError> {
    match format.kind.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(Source::JsonObject)),
        "json_schema" => {
            let named = format.json_schema.as_ref();
            let named = named.ok_or_else(|| ApiError::missing("response_format.json_schema"))?;
            check_name(named.name.as_deref())?;
            let schema = named.schema.clone();
            let schema =
                schema.ok_or_else(|| ApiError::missing("response_format.json_schema.schema"))?;
            let is_strict = named.strict == Some(true);
            Ok(Some(Source::JsonSchema(if is_strict { schema } else { loosened(&schema) })))
        }
        kind => {
            let kind: String = kind.chars().take(64).collect();
            let message = format!(
                "Invalid 'response_format.type': '{kind}' is none of 'text', 'json_object' and \
                 'json_schema'."
            );
            Err(ApiError::invalid(Some("response_format.type"), message))
        }
    }
}

/// A schema's name, as OpenAI bounds it.
fn check_name(name: Option<&str>) -> Result<(), ApiError> {
    let is_well = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match name.filter(|name| !(1..=64).contains(&name.len()) || !name.chars().all(is_well)) {
        Some(_) => {
            let param = "response_format.json_schema.name";
            let message = format!(
                "Invalid value for '{param}': a name has 1 to 64 letters, digits, '_' and '-'."
            );
            Err(ApiError::invalid(Some(param), message))
        }
        None => Ok(()),
    }
}

fn structured_outputs(
    outputs: &StructuredOutputs,
) -> Result<Vec<(&'static str, Source)>, ApiError> {
    let mut all = Vec::new();
    if let Some(schema) = &outputs.json {
        let param = "structured_outputs.json";
        all.push((param, Source::JsonSchema(schema_or_text(param, schema)?)));
    }
    if outputs.json_object == Some(true) {
        all.push(("structured_outputs.json_object", Source::JsonObject));
    }
    let regex = outputs.regex.clone().map(Source::Regex);
    let choice = outputs.choice.clone().map(Source::Choice);
    let grammar = outputs.grammar.clone().map(Source::Grammar);
    all.extend(regex.map(|regex| ("structured_outputs.regex", regex)));
    all.extend(choice.map(|choice| ("structured_outputs.choice", choice)));
    all.extend(grammar.map(|grammar| ("structured_outputs.grammar", grammar)));
    if all.is_empty() {
        let message = "'structured_outputs' needs one of 'json', 'json_object', 'regex', 'choice' \
                       and 'grammar'.";
        return Err(ApiError::invalid(Some("structured_outputs"), message));
    }
    Ok(all)
}

/// vLLM takes a schema as JSON or as a text that holds JSON.
fn schema_or_text(param: &str, schema: &Value) -> Result<Value, ApiError> {
    let Value::String(text) = schema else { return Ok(schema.clone()) };
    serde_json::from_str(text).map_err(|error| {
        let message = format!("Invalid value for '{param}': the text is no JSON: {error}.");
        ApiError::invalid(Some(param), message)
    })
}

/// Compiles it for this model.
pub(crate) async fn compile(
    state: &AppState,
    (model, tenant): (&Arc<ServedModel>, &TenantId),
    asked: Option<Asked>,
    stop: &StopRules,
) -> Result<Option<Arc<dyn Grammar>>, ApiError> {
    let Some(Asked { param, source, schemas }) = asked else { return Ok(None) };
    let forbidden = [("ignore_eos", stop.ignore_eos), ("min_tokens", stop.min_tokens > 0)];
    if let Some((name, _)) = forbidden.into_iter().find(|(_, is_set)| *is_set) {
        let message = format!("'{name}' and '{param}' exclude each other.");
        return Err(ApiError::invalid(Some(name), message));
    }
    let (model, tenant) = (Arc::clone(model), tenant.clone());
    let compiled = async {
        let permit = state.grammar_jobs().permit(&tenant).await.map_err(|_| too_many(state))?;
        let job = move || {
            // Held by the job: it works on to its end even where its client is gone.
            let _permit = permit;
            model.grammars.compile(&tenant.0, &source)
        };
        tokio::task::spawn_blocking(job).await.map_err(|_| {
            // Not what it said: it may quote the grammar.
            tracing::error!("compiling a grammar panicked");
            ApiError::internal()
        })
    };
    let timeout = state.limits().grammar_timeout;
    let compiled = tokio::time::timeout(timeout, compiled).await.map_err(|_| {
        let message = format!(
            "Invalid value for '{param}': it was not compiled within {} s. Use a simpler one, or \
             retry later.",
            timeout.as_secs_f32()
        );
        ApiError::invalid(Some(param), message).code("grammar_timeout")
    })??;
    let compiled = compiled.map_err(|error| {
        let param = match &error {
            CompileError::OfCall { which, .. } => schemas.get(*which).map_or(param, String::as_str),
            _ => param,
        };
        ApiError::invalid(Some(param), format!("Invalid value for '{param}': {error}."))
    })?;
    Ok(Some(compiled.grammar()))
}

/// 429: the tenant has more waiting than can be done in time.
fn too_many(state: &AppState) -> ApiError {
    let num = state.limits().max_waiting_grammars;
    let message =
        format!("{num} requests wait for their grammars, which is the limit. Retry later.");
    let status = StatusCode::TOO_MANY_REQUESTS;
    ApiError::refused(status, "too_many_grammars", message).retry_after(1)
}

#[cfg(test)]
mod tests {
    use engine_core::{CacheGroups, EngineLimits};
    use engine_mock::{MockEngine, MockModel};
    use engine_text::TextModel;
    use scheduler_batching::{PlannerConfig, spawn_with};

    use super::*;
    use crate::{HttpLimits, Metrics};

    fn model() -> Arc<ServedModel> {
        let limits = EngineLimits {
            block_size: 16,
            num_blocks: 16,
            max_model_len: 64,
            max_step_tokens: 64,
            max_step_seqs: 4,
            vocab_size: 260,
            groups: CacheGroups::WHOLE,
        };
        let engine = Box::new(MockEngine::new(limits, MockModel::default()));
        let observer = Metrics::new().observer("mock");
        let (handle, _driver) = spawn_with(engine, PlannerConfig::default(), observer);
        let text = Arc::new(TextModel::byte_level());
        Arc::new(ServedModel {
            id: "mock".to_owned(),
            version: "sha256:0".into(),
            created_unix: 0,
            grammars: Arc::new(engine_grammar::Compiler::new(Arc::clone(&text), 0)),
            text,
            handle,
            adapter: None,
            vision: None,
        })
    }

    #[tokio::test]
    async fn who_has_too_many_waiting_is_told_and_nobody_else_is() {
        let limits =
            HttpLimits { max_grammar_jobs: 1, max_waiting_grammars: 2, ..HttpLimits::default() };
        let state = AppState::builder().limits(limits).build();
        let model = model();
        let ask = |tenant: &str, number: u32| {
            let (state, model, tenant) =
                (state.clone(), Arc::clone(&model), TenantId(tenant.into()));
            let source = Source::Choice(vec![number.to_string()]);
            tokio::spawn(async move {
                let asked = Some(Asked::new("guided_choice", source));
                compile(&state, (&model, &tenant), asked, &StopRules::default()).await
            })
        };
        let busy = state.grammar_jobs().permit(&TenantId("a".into())).await.unwrap();
        let (first, second) = (ask("a", 1), ask("a", 2));
        tokio::task::yield_now().await;
        let error = ask("a", 3).await.unwrap().unwrap_err();
        assert_eq!(error.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(error.body().error.code.as_deref(), Some("too_many_grammars"));
        let other = ask("b", 1);
        tokio::task::yield_now().await;
        assert!(!other.is_finished(), "it waits for its turn");
        drop(busy);
        for done in [first, second, other, ask("a", 3)] {
            assert!(done.await.unwrap().unwrap().is_some());
        }
    }
}
