//! Who finds a ticket, and how long a request may take.

use server_metering::{OrganizationId, ProjectId};

use super::*;

fn whose(organization: &str, project: &str) -> ProjectPath {
    let (organization, project) = (OrganizationId::new(organization), ProjectId::new(project));
    ProjectPath { organization: organization.unwrap(), project: project.unwrap() }
}

fn ticket(tickets: &Arc<Tickets>, whose: ProjectPath, name: &str) -> Arc<Ticket> {
    let ticket = Ticket::new(tickets, whose, &HeaderMap::new(), None).unwrap();
    ticket.name(name);
    ticket
}

#[test]
fn only_the_own_project_finds_a_ticket_and_only_while_it_is_held() {
    let tickets = Arc::new(Tickets::default());
    let own = whose("a", "p");
    let [a, again] = [(); 2].map(|()| ticket(&tickets, own.clone(), "x"));
    let others = [(whose("b", "p"), "x"), (whose("a", "q"), "x"), (own.clone(), "xy")];
    let others = others.map(|(whose, name)| ticket(&tickets, whose, name));
    a.name("chatcmpl-1");
    assert!(tickets.cancel(&own, "x"));
    let is_cancelled = |ticket: &Arc<Ticket>| ticket.cancelled.load(Ordering::Relaxed);
    assert!(is_cancelled(&a) && is_cancelled(&again));
    assert!(!others.iter().any(is_cancelled));
    assert!(!tickets.cancel(&whose("a", "q"), "chatcmpl-1"));
    assert!(tickets.cancel(&own, "chatcmpl-1"));
    drop((a, again));
    assert!(!tickets.cancel(&own, "x"));
    assert!(!tickets.cancel(&own, "chatcmpl-1"));
    drop(others);
    assert!(tickets.named().is_empty());
}

#[test]
fn the_shortest_time_counts_and_says_whose_it_was() {
    let tickets = Arc::new(Tickets::default());
    let seconds = Duration::from_secs;
    let limit = |header: Option<&str>, body: Option<u64>, max: Option<u64>| {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|value| (TIMEOUT, value.parse().unwrap())));
        let max = max.map(seconds);
        let ticket = Ticket::new(&tickets, whose("a", "p"), &headers, max).unwrap();
        let deadline = ticket.deadline(body.map(seconds))?;
        Some((deadline.timeout.as_secs(), deadline.by_client))
    };
    assert_eq!(limit(None, None, None), None);
    assert_eq!(limit(Some("5"), Some(7), Some(9)), Some((5, true)));
    assert_eq!(limit(Some("7.5"), Some(5), None), Some((5, true)));
    assert_eq!(limit(Some("7"), None, Some(6)), Some((6, false)));
    assert_eq!(limit(None, None, Some(6)), Some((6, false)));
    for wrong in ["", "soon", "0", "-1", "NaN", "inf", "1e9"] {
        let headers = HeaderMap::from_iter([(TIMEOUT, wrong.parse().unwrap())]);
        assert!(Ticket::new(&tickets, whose("a", "p"), &headers, None).is_err(), "{wrong}");
    }
}
