//! What ends early, waits or fails: full queues, clients that go away, cancels, deadlines, guards.

use axum::http::Method;
use engine_mock::Fault;
use scheduler_batching::Shutdown;
use serde_json::json;
use server_guard::{Action, DenyList, Guard, Guards};

use super::*;

const MODEL: (&str, &str) = ("model", "ears");

fn long() -> Request<Body> {
    form(TRANSCRIPTIONS, Some(&wav(&"a".repeat(30))), &[MODEL])
}

fn short() -> Request<Body> {
    form(TRANSCRIPTIONS, Some(&wav("a")), &[MODEL])
}

/// Asks in the background.
fn start(router: &Router, request: Request<Body>) -> tokio::task::JoinHandle<(u16, String)> {
    let router = router.clone();
    tokio::spawn(async move {
        let (status, _, text) = call(&router, request).await;
        (status.as_u16(), text)
    })
}

/// Waits; the limit turns a hang into a failure.
async fn until(handle: &SpeechHandle, holds: impl Fn(usize, usize) -> bool) {
    let poll = async {
        loop {
            let stats = handle.stats();
            if holds(stats.running, stats.waiting) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), poll).await.expect("it comes about");
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_model() {
    let (router, handle) = alone(slow());
    let asked = start(&router, long());
    until(&handle, |running, _| running == 1).await;
    asked.abort();
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;
    well(&router, short()).await;
    // A stream that is not read to its end, too.
    let fields = [MODEL, ("stream", "true")];
    let request = form(TRANSCRIPTIONS, Some(&wav(&"a".repeat(30))), &fields);
    let response = tower::ServiceExt::oneshot(router.clone(), request).await.unwrap();
    until(&handle, |running, _| running == 1).await;
    drop(response);
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let (router, handle) = alone(slow());
    let asked: Vec<_> = (0..3).map(|_| start(&router, long())).collect();
    until(&handle, |running, waiting| running + waiting == 3).await;
    let (status, headers, text) = call(&router, short()).await;
    let retry = &headers["retry-after"];
    assert_eq!((status, retry), (StatusCode::SERVICE_UNAVAILABLE, &"7".parse().unwrap()));
    assert!(text.contains("queue_full"), "{text}");
    asked.iter().for_each(tokio::task::JoinHandle::abort);
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;
    well(&router, short()).await;
}

#[tokio::test]
async fn many_at_once_are_each_answered() {
    let metrics = Metrics::new();
    let (handle, _driver) =
        spawn_speech(MockSpeech::new(&["en"]), SpeechConfig::default(), metrics.observer("ears"));
    let model = ServedSpeech { handle, ..model("ears", slow(), &metrics) };
    let router = router(AppState::builder().model(model).build());
    let letters = |number: u8| "abcdefgh"[..1 + usize::from(number % 8)].to_owned();
    let ask = |number| form(TRANSCRIPTIONS, Some(&wav(&letters(number))), &[MODEL]);
    let asked: Vec<_> = (0..24).map(|number| start(&router, ask(number))).collect();
    for (number, asked) in (0..24).zip(asked) {
        let (status, text) = asked.await.unwrap();
        let text: Value = serde_json::from_str(&text).unwrap();
        let said = text["text"].as_str().unwrap_or_default().replace(' ', "");
        assert_eq!((status, said), (200, letters(number)), "{text}");
    }
}

#[tokio::test]
async fn a_request_is_cancelled_by_its_id_and_by_its_time() {
    let (router, handle) = alone(slow());
    let mut request = long();
    request.headers_mut().insert("x-request-id", "mine".parse().unwrap());
    let asked = start(&router, request);
    until(&handle, |running, _| running == 1).await;
    let cancel = Request::builder().method(Method::POST).uri("/v1/requests/mine/cancel");
    assert_eq!(call(&router, cancel.body(Body::empty()).unwrap()).await.0, StatusCode::OK);
    let (status, text) = asked.await.unwrap();
    assert!(status == 499 && text.contains("request_cancelled"), "{text}");
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;

    let mut request = long();
    request.headers_mut().insert("x-request-timeout", "0.5".parse().unwrap());
    let (status, _, text) = call(&router, request).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT, "{text}");
    until(&handle, |running, waiting| (running, waiting) == (0, 0)).await;
}

#[tokio::test]
async fn a_model_that_fails_is_an_error_of_the_servers_and_it_goes_on() {
    for fault in [Fault::Error("secret".into()), Fault::Panic] {
        let (router, _) = alone(MockSpeech::new(&["en"]).with_fault(0, fault));
        let (status, _, message) = refused(&router, short()).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!message.contains("secret") && !message.contains("broken"), "{message}");
        well(&router, short()).await;
    }
    // In a stream, as its last event.
    let (router, _) = alone(MockSpeech::new(&["en"]).with_fault(1, Fault::Panic));
    let request = form(TRANSCRIPTIONS, Some(&wav("ab")), &[MODEL, ("stream", "true")]);
    let text = said(&router, request).await;
    assert!(text.contains("\"delta\":\"a\"") && text.contains("server_error"), "{text}");
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("done\""), "{text}");
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let (router, handle) = alone(MockSpeech::new(&["en"]));
    handle.shutdown(Shutdown::Abort);
    let (status, _, text) = call(&router, short()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("shutting_down"), "{text}");
}

fn deny(action: Action) -> Arc<dyn Guard> {
    Arc::new(DenyList::parse("b\nbad words", action).expect("a list"))
}

#[tokio::test]
async fn guards_check_what_is_told_and_what_is_said() {
    let verbose = ("response_format", "verbose_json");
    let ask = |fields: &[(&str, &str)]| {
        form(TRANSCRIPTIONS, Some(&wav("abc")), &[&[MODEL], fields].concat())
    };
    let masking = Guards { input: Vec::new(), output: vec![deny(Action::Mask)] };
    let router_of = |guards| router(builder().guards(guards).build());
    let masked = router_of(masking);
    let answer = well(&masked, ask(&[verbose])).await;
    let text = answer["text"].as_str().unwrap();
    assert!(text.starts_with("a ") && text.ends_with(" c") && !text.contains('b'), "{text}");
    // Neither do tokens tell it, nor a stream.
    assert!(answer["segments"].as_array().unwrap().iter().all(|s| s["tokens"] == json!([])));
    let streamed = said(&masked, ask(&[("stream", "true")])).await;
    let words = |text: &str| text.contains("\"delta\":\" b\"") || text.contains(" b c");
    assert!(!words(&streamed), "{streamed}");
    let stopping = Guards { input: Vec::new(), output: vec![deny(Action::Stop)] };
    let stopped = router_of(stopping);
    let (status, _, text) = call(&stopped, ask(&[])).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("content_filter"), "{text}");
    let input = Guards { input: vec![deny(Action::Stop)], output: Vec::new() };
    let (status, param, _) = refused(&router_of(input), ask(&[("prompt", "some bad words")])).await;
    assert_eq!((status, param), (StatusCode::BAD_REQUEST, json!("prompt")));
}
