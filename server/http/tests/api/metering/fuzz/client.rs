//! A client that does what is planned, and remembers what it was told and handed.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use scheduler_batching::Handle;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::plan::{How, Plan, tools};
use crate::common::{call, until_idle};
use crate::metering::{CHAT, World, events, request, told};

/// What a client saw of a request.
#[derive(Debug)]
pub(super) enum Seen {
    /// It was not let in.
    Refused,
    /// All of it, perhaps with its usage.
    Told { usage: Option<[u64; 3]>, reasons: Vec<String>, choices: Choices },
    /// Part of it, and then it went away.
    Gone(Choices),
    /// Part of it, and then that it was cancelled.
    Cancelled(Choices),
}

/// Of each choice the tokens that were shown, and why it ended if it did.
#[derive(Debug, Default)]
pub(super) struct Choices(BTreeMap<u64, (u64, Option<String>)>);

impl Choices {
    fn add(&mut self, choice: &Value) {
        let seen = self.0.entry(choice["index"].as_u64().unwrap()).or_default();
        let scores = &choice["logprobs"];
        let scores = scores["content"].as_array().or_else(|| scores["tokens"].as_array());
        seen.0 += scores.map_or(0, |scores| scores.len() as u64);
        if let Some(reason) = choice["finish_reason"].as_str() {
            seen.1 = Some(reason.to_owned());
        }
    }

    fn of(answers: &[Value]) -> Self {
        let mut all = Self::default();
        let choices = answers.iter().filter_map(|answer| answer["choices"].as_array()).flatten();
        choices.for_each(|choice| all.add(choice));
        all
    }

    fn reasons(&self) -> Vec<String> {
        self.0.values().filter_map(|(_, reason)| reason.clone()).collect()
    }

    /// Whether anything was shown.
    pub(super) fn has_output(&self) -> bool {
        self.0.values().any(|(num, reason)| *num > 0 || reason.is_some())
    }

    /// All tokens that were handed out.
    fn num_tokens(&self, plan: &Plan) -> u64 {
        let of = |(num, reason): &(u64, Option<String>)| match reason.as_deref() {
            Some("stop" | "tool_calls") => num + plan.num_hidden(),
            _ => *num,
        };
        self.0.values().map(of).sum()
    }
}

impl Seen {
    /// Whether it was told of calls.
    pub(super) fn has_called(&self) -> bool {
        let is_call = |reason: &String| reason == "tool_calls";
        matches!(self, Self::Told { reasons, .. } if reasons.iter().any(is_call))
    }

    /// The tokens of answers that are to be charged.
    pub(super) fn output(&self, plan: &Plan) -> u64 {
        match self {
            Self::Refused => 0,
            Self::Told { choices, .. } | Self::Gone(choices) | Self::Cancelled(choices) => {
                choices.num_tokens(plan)
            }
        }
    }
}

pub(super) struct Client {
    router: Router,
    /// Tokens around the prompt of a chat, without and with tools.
    pub(super) num_around: [u64; 2],
    /// Requests that were made to find that out.
    pub(super) num_probes: usize,
}

impl Client {
    pub(super) async fn new(world: &World, handle: &Handle) -> Self {
        let mut num_around = [0; 2];
        for (num_around, tools) in num_around.iter_mut().zip([Value::Null, tools()]) {
            let messages = json!([{"role": "user", "content": "x"}]);
            let body = json!({"model": "mock", "messages": messages, "tools": tools,
                "max_tokens": 1});
            let answer = world.well(CHAT, body).await;
            *num_around = answer["usage"]["prompt_tokens"].as_u64().unwrap() - 1;
        }
        until_idle(handle).await;
        Self { router: world.router.clone(), num_around, num_probes: num_around.len() }
    }

    pub(super) async fn run(&self, plan: &Plan) -> Seen {
        let cancels = async {
            if let How::Cancels(millis) = plan.how {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                self.cancel(plan).await;
            }
        };
        let (seen, ()) = tokio::join!(self.ask(plan), cancels);
        seen
    }

    async fn cancel(&self, plan: &Plan) {
        let form = format!("/v1/requests/{}", plan.key);
        let bearer = format!("Bearer {}", plan.bearer());
        let request = Request::delete(form).header("authorization", bearer);
        // It may have ended, or not begun.
        call(&self.router, request.body(Body::empty()).unwrap()).await;
    }

    async fn ask(&self, plan: &Plan) -> Seen {
        let mut request = request(plan.path(), &plan.bearer(), &plan.body());
        request.headers_mut().insert("x-request-id", plan.key.parse().unwrap());
        let answer = self.router.clone().oneshot(request);
        let answer = async {
            let response = answer.await.unwrap();
            let status = response.status();
            (status, response.into_body())
        };
        match (plan.is_streamed, plan.how) {
            (false, How::Goes(millis)) => {
                match tokio::time::timeout(Duration::from_millis(millis), answer).await {
                    Ok((status, body)) => whole(status, body).await,
                    Err(_) => Seen::Gone(Choices::default()),
                }
            }
            (false, _) => {
                let (status, body) = answer.await;
                whole(status, body).await
            }
            (true, how) => {
                let (status, body) = answer.await;
                let num_pieces = if let How::Goes(num) = how { num } else { u64::MAX };
                streamed(status, body, num_pieces).await
            }
        }
    }
}

async fn whole(status: StatusCode, body: Body) -> Seen {
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    match status.as_u16() {
        200 => {
            let usage = Some(told(&answer["usage"]));
            let choices = Choices::of(&[answer]);
            Seen::Told { usage, reasons: choices.reasons(), choices }
        }
        429 => Seen::Refused,
        499 if answer["error"]["code"] == "request_cancelled" => {
            Seen::Cancelled(Choices::default())
        }
        _ => panic!("{status}: {answer}"),
    }
}

async fn streamed(status: StatusCode, body: Body, num_pieces: u64) -> Seen {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Seen::Refused;
    }
    let (mut pieces, mut text) = (body.into_data_stream(), String::new());
    let mut num_read = 0;
    let is_whole = loop {
        if num_read == num_pieces {
            break false;
        }
        let Some(piece) = pieces.next().await else { break true };
        text += std::str::from_utf8(&piece.unwrap()).unwrap();
        num_read += 1;
    };
    if !status.is_success() {
        assert_eq!(status.as_u16(), 499, "{text}");
        return Seen::Cancelled(Choices::default());
    }
    drop(pieces);
    let events = events(&text);
    let choices = Choices::of(&events);
    if events.last().is_some_and(|last| last["error"].is_object()) {
        return Seen::Cancelled(choices);
    }
    // The last piece may have been all that was left, whether its end was asked for or not.
    if !is_whole && !text.ends_with("data: [DONE]\n\n") {
        return Seen::Gone(choices);
    }
    let usage = events.last().map(|last| &last["usage"]).filter(|usage| usage.is_object());
    Seen::Told { usage: usage.map(told), reasons: choices.reasons(), choices }
}
