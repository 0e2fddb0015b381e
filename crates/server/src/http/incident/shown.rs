//! An incident in JSON.

use domain::{Position, Timestamp};
use projection::KeyRow;
use projection::usage::{Bucket, Requests};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::tenants::PersonalJson;
use crate::http::usage::{OtherJson, PartJson, RefusedJson, ServiceJson, UnknownJson};
use crate::incident::{
    Attempts, Edge, Entry, Exactness, Facts, Figure, Span, Successor, Verifier, What, accepted, attempts,
    spans, timeline, total,
};

/// What became of a key. Each figure tells how well it is known: `exact`, `at_most`, `by_hour` (from sums by the hour or day,
/// the first and the last counted whole), `at_least` (not all was reported), `unknown`.
#[derive(Serialize, ToSchema)]
#[schema(as = Incident)]
pub(crate) struct IncidentJson {
    /// The key.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// What people call it.
    name: Option<PersonalJson>,
    /// Whom it belongs to.
    owner: Option<PersonalJson>,
    /// What it is now.
    standing: &'static str,
    /// When this was concluded, RFC 3339.
    made_at: String,
    /// The position of the last event of its history.
    position: u64,
    /// False where the history is too long to be told: then only its first events are.
    whole: bool,
    /// What set it off; null for a key that was never refused.
    began: Option<EdgeJson>,
    /// For how long the key could be used after that until the last verifier refused: all spans together.
    exposure: FigureJson,
    /// Each span in which it could be used; more than one where it was reinstated.
    spans: Vec<SpanJson>,
    /// Uses that were accepted.
    accepted: AcceptedJson,
    /// The key that took over, or was to.
    successor: Option<SuccessorJson>,
    /// Who went on trying the key since it began; null for a key that was never refused.
    attempts: Option<AttemptsJson>,
    /// Usage that was reported up to here is considered, RFC 3339; null if none was yet.
    known_until: Option<String>,
    /// All of it, oldest first.
    timeline: Vec<EntryJson>,
}

/// Something that set a span off or ended it.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentEdge)]
pub(crate) struct EdgeJson {
    /// When, RFC 3339.
    at: String,
    /// Where it stands in the log.
    position: u64,
    /// leak_report, suspension, revocation, recall, rotation_finish, expiry or reinstatement.
    what: &'static str,
}

/// A number of milliseconds.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentFigure)]
pub(crate) struct FigureJson {
    /// Null where nobody can tell, never zero.
    ms: Option<u64>,
    /// How well it is known.
    exactness: &'static str,
    /// Why it is not exact.
    why: Option<String>,
}

/// A time in which the key could be used.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentSpan)]
pub(crate) struct SpanJson {
    /// What it began with.
    from: EdgeJson,
    /// What ended it; null while it lasts.
    until: Option<EdgeJson>,
    /// Until the server that ended it refused.
    effective: FigureJson,
    /// Until the last verifier refused.
    enforced: FigureJson,
    /// Verifiers that may still accept the key.
    outstanding: Vec<String>,
}

/// Uses that were accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentAccepted)]
pub(crate) struct AcceptedJson {
    /// The last one that is known, RFC 3339, by the clock of who accepted it; null if none is.
    last_at: Option<String>,
    /// `at_least`: a later one may be among what was not reported.
    last_exactness: &'static str,
    /// How long after it began that was; negative if before.
    last_after_ms: Option<i64>,
    /// How many there were since it began.
    count: u64,
    /// How well that is known.
    count_exactness: &'static str,
    /// Why either is not exact.
    why: Option<String>,
}

/// The key that took over.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentSuccessor)]
pub(crate) struct SuccessorJson {
    /// Its id.
    key_id: String,
    /// What it is now.
    standing: &'static str,
    /// When it was first used, RFC 3339; null if no use is known.
    first_used: Option<String>,
}

/// Who went on trying the key.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentAttempts)]
pub(crate) struct AttemptsJson {
    /// How often it was refused because it had ended.
    count: u64,
    /// `at_least` where not all was reported.
    exactness: &'static str,
    /// Why.
    why: Option<String>,
    /// By verdict, the last first.
    verdicts: Vec<RefusedJson>,
    /// Services that were refused since; of each all its verdicts are counted, also those from before.
    services: Vec<ServiceJson>,
    /// All other services.
    other_services: Option<OtherJson>,
    /// Networks that it came from since, counted in the same way.
    networks: Vec<PartJson>,
    /// All other networks.
    other_networks: Option<OtherJson>,
    /// Hours, or days where the hours are gone, with a refusal of any kind.
    hours: Vec<CountedJson>,
}

/// Refusals of an hour or a day.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentHour)]
pub(crate) struct CountedJson {
    /// Where it begins, RFC 3339.
    start: String,
    /// How many.
    refused: u64,
}

/// A line of the timeline.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = IncidentEntry)]
pub(crate) struct EntryJson {
    /// When, RFC 3339; null where nobody can tell.
    at: Option<String>,
    /// event, enforced, outstanding, enforcement_unknown, first_use, last_use, successor_first_use, attempts or unreported.
    kind: &'static str,
    /// How well the time is known.
    exactness: &'static str,
    /// The event, or the one that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// The event as auditors read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Value>,
    /// Who refuses, or may still accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    verifier: Option<VerifierJson>,
    /// The successor.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// How it was refused, how often and from where.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<RefusedJson>,
    /// In which span reports are missing, and whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreported: Option<UnknownJson>,
}

/// A verifier.
#[derive(Serialize, ToSchema)]
#[schema(as = IncidentVerifier)]
pub(crate) struct VerifierJson {
    /// `server` or `guard`.
    kind: String,
    /// What people call it.
    name: String,
    /// Which guard; null for a server.
    guard_id: Option<String>,
    /// How it is known that it refuses: index, report, bound or left; null while it may accept.
    by: Option<String>,
    /// How long after the ending was effective it is known to refuse; null where nobody can tell.
    after_ms: Option<u64>,
    /// It refuses by itself after so long at the latest, counted from this answer; null once it does.
    refuses_within_ms: Option<u64>,
}

impl IncidentJson {
    pub(super) fn of(row: &KeyRow, facts: &Facts, whole: bool, known_until: Option<Timestamp>) -> Self {
        let (began, spans) = (facts.began(), spans(facts));
        let accepted = accepted(facts, began, &spans);
        let grant = row.grant.as_ref();
        let lines = timeline(facts, accepted.last_exactness);
        let last_after_ms = accepted.last.zip(began).map(|(last, began)| {
            last.as_millis().cast_signed().wrapping_sub(began.at.as_millis().cast_signed())
        });
        Self {
            key_id: row.key_id.to_string(),
            tenant: row.tenant.to_string(),
            name: grant.and_then(|grant| grant.name.as_ref()).map(PersonalJson::from),
            owner: grant.map(|grant| PersonalJson::from(&grant.owner.name)),
            standing: row.standing.as_str(),
            made_at: format_rfc3339(facts.now),
            position: row.position.get(),
            whole,
            began: began.map(EdgeJson::from),
            exposure: total(&spans).into(),
            spans: spans.into_iter().map(SpanJson::from).collect(),
            accepted: AcceptedJson {
                last_at: accepted.last.map(format_rfc3339),
                last_exactness: accepted.last_exactness.as_str(),
                last_after_ms,
                count: accepted.count,
                count_exactness: accepted.count_exactness.as_str(),
                why: accepted.why,
            },
            successor: facts.successor.as_ref().map(SuccessorJson::from),
            attempts: attempts(facts, began).map(AttemptsJson::from),
            known_until: known_until.map(format_rfc3339),
            timeline: lines.into_iter().map(EntryJson::from).collect(),
        }
    }
}

impl From<Edge> for EdgeJson {
    fn from(edge: Edge) -> Self {
        Self { at: format_rfc3339(edge.at), position: edge.position.get(), what: edge.what }
    }
}

impl From<Figure> for FigureJson {
    fn from(figure: Figure) -> Self {
        Self { ms: figure.ms, exactness: figure.exactness.as_str(), why: figure.why }
    }
}

impl From<Span> for SpanJson {
    fn from(span: Span) -> Self {
        Self {
            from: span.from.into(),
            until: span.until.map(EdgeJson::from),
            effective: span.effective.into(),
            enforced: span.enforced.into(),
            outstanding: span.outstanding,
        }
    }
}

impl From<&Successor> for SuccessorJson {
    fn from(successor: &Successor) -> Self {
        Self {
            key_id: successor.key_id.to_string(),
            standing: successor.standing,
            first_used: successor.first_used.map(format_rfc3339),
        }
    }
}

impl From<Attempts> for AttemptsJson {
    fn from(attempts: Attempts) -> Self {
        let counted = |bucket: Bucket| {
            let Requests { refused, .. } = bucket.requests;
            CountedJson { start: format_rfc3339(bucket.start), refused }
        };
        Self {
            count: attempts.count,
            exactness: attempts.exactness.as_str(),
            why: attempts.why,
            verdicts: attempts.verdicts.into_iter().map(RefusedJson::from).collect(),
            services: attempts.services.into_iter().map(ServiceJson::from).collect(),
            other_services: attempts.other_services.map(OtherJson::from),
            networks: attempts.networks.into_iter().map(PartJson::from).collect(),
            other_networks: attempts.other_networks.map(OtherJson::from),
            hours: attempts.hours.into_iter().map(counted).collect(),
        }
    }
}

impl From<Verifier> for VerifierJson {
    fn from(verifier: Verifier) -> Self {
        let Verifier { kind, name, guard_id, by, after_ms, refuses_within_ms } = verifier;
        Self { kind, name, guard_id, by, after_ms, refuses_within_ms }
    }
}

impl From<Entry> for EntryJson {
    fn from(entry: Entry) -> Self {
        let line = Self {
            at: entry.at.map(format_rfc3339),
            kind: entry.what.kind(),
            exactness: Exactness::as_str(entry.exactness),
            ..Self::default()
        };
        let at = |position: Position| Some(position.get());
        match entry.what {
            What::Event { position, shown } => Self { position: at(position), event: Some(shown), ..line },
            What::Enforced { of, verifier } | What::Outstanding { of, verifier } => {
                Self { position: at(of), verifier: Some(verifier.into()), ..line }
            }
            What::NotKnown { of } => Self { position: at(of), ..line },
            What::FirstUse | What::LastUse => line,
            What::SuccessorUsed { key_id } => Self { key_id: Some(key_id.to_string()), ..line },
            What::Attempts(refused) => Self { attempts: Some(refused.into()), ..line },
            What::Unreported(span) => Self { unreported: Some((&span).into()), ..line },
        }
    }
}
