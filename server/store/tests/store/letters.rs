//! Letters about invoices: who gets them, once, and for how long they are tried.

use server_store::{BillingLetter, BillingUpdate, Store, Target};

use crate::accounts::{all, is_invalid, may, populated};
use crate::people::join;
use crate::{On, Opened, is_missing};

crate::on_both! {
    a_notice_becomes_letters_to_those_who_pay_once,
    an_address_for_invoices_is_set_and_forgotten,
    a_letter_is_tried_for_days,
}

fn letter() -> BillingLetter {
    BillingLetter::Restored { organization: "A".to_owned(), url: "https://a.example".to_owned() }
}

async fn owe(store: &Store) {
    let update = BillingUpdate {
        state: "{}".to_owned(),
        next_tick: None,
        customer: None,
        spans: Vec::new(),
        notices: vec!["{}".to_owned()],
        plan: None,
        suspended: None,
    };
    assert!(store.save_billing(&may("a"), 0, &update).await.unwrap());
}

async fn a_notice_becomes_letters_to_those_who_pay_once(on: On) {
    let Opened { store, .. } = &populated(on).await;
    join(store, "a", "ada", "owner").await;
    join(store, "a", "dora", "developer").await;
    let gone = join(store, "a", "gone", "owner").await;
    store.disable_user(&may("a"), &gone.id, true).await.unwrap();
    join(store, "b", "other", "owner").await;
    // An owner's, and one of nobody.
    store.set_billing_email(&may("a"), Some("ada@example.org")).await.unwrap();
    store.set_billing_email(&may("b"), Some("bills@b.example")).await.unwrap();
    owe(store).await;
    let notice = store.unsent_notices(9).await.unwrap().remove(0);
    let letter = letter();
    let tries = (0..8).map(|_| store.write_letters(&notice, &letter));
    let written = futures_util::future::join_all(tries).await;
    let mut written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    written.sort();
    assert_eq!(written[..7], [None; 7]);
    assert_eq!(written[7], Some(1), "of an owner's address there is one");
    assert_eq!(store.unsent_notices(9).await.unwrap(), []);
    let outgoing = store.outgoing(&may("a"), false, &all()).await.unwrap().rows;
    let told = (outgoing[0].target.as_str(), outgoing[0].event.as_str());
    assert_eq!((outgoing.len(), told), (1, ("ada@example.org", "billing.restored")));
    let sent = store.take_deliveries(outgoing[0].created_at, 9).await.unwrap().remove(0);
    assert_eq!(sent.target, Target::Mail { address: "ada@example.org".to_owned() });
    assert!(serde_json::from_str::<BillingLetter>(&sent.body).unwrap() == letter);
}

async fn an_address_for_invoices_is_set_and_forgotten(on: On) {
    let Opened { store, .. } = &populated(on).await;
    let email = async |org: &str| store.billing_email(&may(org)).await.unwrap();
    assert_eq!(email("a").await, None);
    store.set_billing_email(&may("a"), Some("bills@a.example")).await.unwrap();
    assert_eq!((email("a").await.as_deref(), email("b").await), (Some("bills@a.example"), None));
    for wrong in ["", "a", "a@b c", &format!("{}@b", "a".repeat(400))] {
        assert!(is_invalid(store.set_billing_email(&may("a"), Some(wrong)).await), "{wrong}");
    }
    assert!(is_missing(store.set_billing_email(&may("none"), None).await));
    store.set_billing_email(&may("a"), None).await.unwrap();
    assert_eq!(email("a").await, None);
    assert!(store.verify_audit(&may("a")).await.unwrap() > 0);
}

async fn a_letter_is_tried_for_days(on: On) {
    let Opened { store, .. } = &populated(on).await;
    store.set_billing_email(&may("a"), Some("bills@a.example")).await.unwrap();
    owe(store).await;
    let notice = store.unsent_notices(9).await.unwrap().remove(0);
    store.write_letters(&notice, &letter()).await.unwrap();
    let begun = store.outgoing(&may("a"), false, &all()).await.unwrap().rows[0].created_at;
    let (mut at, mut num) = (begun, 0);
    loop {
        let taken = store.take_deliveries(at, 9).await.unwrap();
        num += 1;
        if store.failed(&taken[0], at, "no route to host", false).await.unwrap() {
            break;
        }
        at = store.outgoing(&may("a"), false, &all()).await.unwrap().rows[0].next_at.unwrap();
    }
    assert_eq!(num, 28);
    let days = (at - begun) / 86_400;
    assert!((3..=5).contains(&days), "given up after {days} days");
    assert!(store.take_deliveries(at + 86_400, 9).await.unwrap().is_empty());
}
