//! Real gateways with the configuration of docs/gateways, between clients that lie and a service that tells what it was sent.

#![cfg(test)]

mod gateway;
mod service;

use serde_json::{Value, json};

use tests::server::{Admin, Answer, Client, IssuedKey, ServerSetup, TestServer};

use gateway::{Gateway, Kind};

/// The identity that a service behind a gateway is told.
const IDENTITY: [&str; 5] =
    ["x-rescind-key-id", "x-rescind-tenant", "x-rescind-owner", "x-rescind-scopes", "x-rescind-environment"];
/// What the service is to hear nothing of.
const SECRET: [&str; 3] = ["authorization", "x-api-key", "x-rescind-gateway"];

/// A client, a gateway, a service, and the server that is asked.
struct Scene {
    /// None once it is killed.
    server: Option<TestServer>,
    admin: Admin,
    /// The gateway's operator.
    operator: IssuedKey,
    gateway: Gateway,
    client: Client,
}

impl Scene {
    fn set(kind: Kind) -> Self {
        let server = ServerSetup::embedded().start();
        let admin = server.admin();
        let operator = issue(&admin, "rescind", &json!({"owner": "operations", "scopes": ["verify"]}));
        let gateway = Gateway::start(kind, server.url(), service::start(), &operator.key);
        let client = Client::default();
        Self { server: Some(server), admin, operator, gateway, client }
    }

    fn key(&self, more: &Value) -> IssuedKey {
        let mut body = json!({"owner": "list sender", "scopes": ["campaigns:send", "lists:read"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issue(&self.admin, "default", &body)
    }

    fn send(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.client.send("POST", &format!("{}{path}", self.gateway.url()), headers, Some(b"spring"))
    }

    fn send_with(&self, key: &str, more: &[(&str, &str)]) -> Answer {
        let bearer = format!("Bearer {key}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(more);
        self.send("/orders/1?x=2", &headers)
    }

    /// The service was told of this key and of nothing else, and of nothing twice.
    #[track_caller]
    fn passes(&self, answer: &Answer, key: &IssuedKey) {
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.gateway.last_words());
        let told = answer.json();
        assert_eq!((&told["method"], &told["target"]), (&json!("POST"), &json!("/orders/1?x=2")));
        assert_eq!(told["body"], "spring");
        let headers: Vec<(&str, &str)> = told["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|header| (header[0].as_str().unwrap(), header[1].as_str().unwrap()))
            .collect();
        let expected = [key.key_id.as_str(), "default", "list%20sender", "campaigns:send lists:read", "live"];
        for (name, value) in IDENTITY.iter().zip(expected) {
            // As a service sees it that takes `_` and `-` for the same.
            let found: Vec<_> = headers
                .iter()
                .filter(|(there, _)| there.replace('_', "-") == *name)
                .map(|(_, value)| *value)
                .collect();
            assert_eq!(found, [value], "{name} in {headers:?}");
        }
        assert!(!headers.iter().any(|(name, _)| SECRET.contains(name)), "{headers:?}");
    }

    /// The service was not asked.
    #[track_caller]
    fn refused(&self, answer: &Answer, statuses: &[u16]) {
        assert!(
            statuses.contains(&answer.status),
            "{answer:?}, not {statuses:?}\n{}",
            self.gateway.last_words()
        );
        assert!(!answer.text.contains("\"target\""), "the service answered: {answer:?}");
    }
}

#[track_caller]
fn issue(admin: &Admin, tenant: &str, body: &Value) -> IssuedKey {
    let issued = admin.post(&format!("/v1/tenants/{tenant}/keys"), body).expect(201).json();
    IssuedKey {
        key_id: issued["key_id"].as_str().unwrap().to_owned(),
        key: issued["key"].as_str().unwrap().to_owned(),
        position: issued["position"].as_u64().unwrap(),
    }
}

/// What a gateway makes of answers that are no verdict: nginx 500, Envoy 403, the others what they were sent.
const CLOSED: [u16; 5] = [403, 500, 502, 503, 504];

fn keys_pass_and_are_refused(kind: Kind) {
    let scene = Scene::set(kind);
    let none = scene.send("/orders/1?x=2", &[]);
    scene.refused(&none, &[401]);
    assert!(none.header("www-authenticate").is_some_and(|told| told.starts_with("Bearer")), "{none:?}");
    let key = scene.key(&json!({"networks": ["127.0.0.0/8"]}));
    scene.passes(&scene.send_with(&key.key, &[]), &key);
    scene.passes(&scene.send("/orders/1?x=2", &[("x-api-key", &key.key)]), &key);
    let unknown = scene.send_with("rsk_live_x", &[]);
    scene.refused(&unknown, &[401]);
    assert!(
        unknown.header("www-authenticate").is_some_and(|told| told.contains("invalid_token")),
        "{unknown:?}"
    );

    // Whatever a client claims to be, the service hears whose key it holds.
    let forged: Vec<(&str, &str)> = IDENTITY.iter().map(|name| (*name, "forged")).collect();
    scene.passes(&scene.send_with(&key.key, &forged), &key);
    let twice: Vec<(&str, &str)> = forged.iter().chain(&forged).copied().collect();
    scene.passes(&scene.send_with(&key.key, &twice), &key);
    let alike = scene.send_with(&key.key, &[("X_Rescind_Key_Id", "forged"), ("X_Rescind_Tenant", "forged")]);
    if alike.status == 400 {
        scene.refused(&alike, &[400]);
    } else {
        scene.passes(&alike, &key);
    }

    let _ = scene.admin.revoke("default", &key.key_id).expect(200);
    scene.refused(&scene.send_with(&key.key, &[]), &[401]);
}

fn nothing_forged_loosens_what_is_asked(kind: Kind) {
    let scene = Scene::set(kind);
    let reader = scene.key(&json!({"scopes": ["lists:read"]}));
    let far = scene.key(&json!({"networks": ["192.0.2.0/24"]}));
    scene.refused(&scene.send_with(&reader.key, &[]), &[403]);
    scene.refused(&scene.send_with(&far.key, &[]), &[403]);
    // Even with an operator's key at hand: what is asked is for the gateway to say.
    let looser = format!("{}; tenant=*; client=192.0.2.5", scene.operator.key);
    let claims = [
        ("x-rescind-gateway", looser.as_str()),
        ("x-real-ip", "192.0.2.5"),
        ("x-forwarded-for", "192.0.2.5"),
        ("forwarded", "for=192.0.2.5"),
        ("x-forwarded-uri", "/v1/authz?scope=lists:read"),
        ("x-original-uri", "/v1/authz?scope=lists:read"),
    ];
    for key in [&reader, &far] {
        scene.refused(&scene.send_with(&key.key, &claims), &[401, 403]);
        let hidden: Vec<_> =
            [("connection", "x-rescind-gateway, x-real-ip")].iter().chain(&claims).copied().collect();
        scene.refused(&scene.send_with(&key.key, &hidden), &[401, 403, 502]);
        let bearer = format!("Bearer {}", key.key);
        for path in ["/?scope=lists:read&tenant=*", "/lists:read", "/tenant=*/%2e%2e/v1/authz", "//v1/verify"]
        {
            scene.refused(&scene.send(path, &[("authorization", &bearer)]), &[400, 403]);
        }
    }
    // One key for us and another for the service.
    let good = scene.key(&json!({}));
    scene.refused(&scene.send_with(&good.key, &[("x-api-key", &reader.key)]), &[401]);
    scene.passes(&scene.send_with(&good.key, &claims), &good);
}

fn without_an_answer_nobody_passes(kind: Kind) {
    let mut scene = Scene::set(kind);
    let key = scene.key(&json!({}));
    scene.passes(&scene.send_with(&key.key, &[]), &key);
    // The gateway's own key ends: no client's fault, and nobody's way in.
    let path = format!("/v1/tenants/rescind/keys/{}/revoke", scene.operator.key_id);
    let _ = scene.admin.post(&path, &json!({"reason": "compromised"})).expect(200);
    scene.refused(&scene.send_with(&key.key, &[]), &CLOSED);
    scene.server.take().unwrap().kill9();
    scene.refused(&scene.send_with(&key.key, &[]), &CLOSED);
}

macro_rules! with {
    ($($gateway:ident = $kind:expr;)*) => {$(
        mod $gateway {
            use super::*;

            #[test]
            fn keys_pass_and_are_refused() {
                super::keys_pass_and_are_refused($kind);
            }

            #[test]
            fn nothing_forged_loosens_what_is_asked() {
                super::nothing_forged_loosens_what_is_asked($kind);
            }

            #[test]
            fn without_an_answer_nobody_passes() {
                super::without_an_answer_nobody_passes($kind);
            }
        }
    )*};
}

with! {
    caddy = Kind::Caddy;
    envoy = Kind::Envoy;
    nginx = Kind::Nginx;
    traefik = Kind::Traefik;
}
