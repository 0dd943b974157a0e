//! Who finds a ticket, and how long a request may take.

use super::*;

fn ticket(tickets: &Arc<Tickets>, tenant: &str, name: &str) -> Arc<Ticket> {
    let tenant = TenantId(tenant.into());
    let ticket = Ticket::new(tickets, tenant, &HeaderMap::new(), None).unwrap();
    ticket.name(name);
    ticket
}

#[test]
fn only_the_own_tenant_finds_a_ticket_and_only_while_it_is_held() {
    let tickets = Arc::new(Tickets::default());
    let (a, again) = (ticket(&tickets, "a", "x"), ticket(&tickets, "a", "x"));
    let (b, other) = (ticket(&tickets, "b", "x"), ticket(&tickets, "a", "xy"));
    a.name("chatcmpl-1");
    assert!(tickets.cancel(&TenantId("a".into()), "x"));
    let is_cancelled = |ticket: &Arc<Ticket>| ticket.cancelled.load(Ordering::Relaxed);
    assert!(is_cancelled(&a) && is_cancelled(&again));
    assert!(!is_cancelled(&b) && !is_cancelled(&other));
    assert!(tickets.cancel(&TenantId("a".into()), "chatcmpl-1"));
    drop((a, again));
    assert!(!tickets.cancel(&TenantId("a".into()), "x"));
    assert!(!tickets.cancel(&TenantId("a".into()), "chatcmpl-1"));
    drop((b, other));
    assert!(tickets.named().is_empty());
}

#[test]
fn the_shortest_time_counts_and_says_whose_it_was() {
    let tickets = Arc::new(Tickets::default());
    let seconds = Duration::from_secs;
    let whose = |header: Option<&str>, body: Option<u64>, max: Option<u64>| {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (TIMEOUT, value.parse().unwrap())));
        let (tenant, max) = (TenantId("a".into()), max.map(seconds));
        let ticket = Ticket::new(&tickets, tenant, &headers, max).unwrap();
        let deadline = ticket.deadline(body.map(seconds))?;
        Some((deadline.timeout.as_secs(), deadline.by_client))
    };
    assert_eq!(whose(None, None, None), None);
    assert_eq!(whose(Some("5"), Some(7), Some(9)), Some((5, true)));
    assert_eq!(whose(Some("7.5"), Some(5), None), Some((5, true)));
    assert_eq!(whose(Some("7"), None, Some(6)), Some((6, false)));
    assert_eq!(whose(None, None, Some(6)), Some((6, false)));
    for wrong in ["", "soon", "0", "-1", "NaN", "inf", "1e9"] {
        let headers = HeaderMap::from_iter([(TIMEOUT, wrong.parse().unwrap())]);
        assert!(Ticket::new(&tickets, TenantId("a".into()), &headers, None).is_err(), "{wrong}");
    }
}
