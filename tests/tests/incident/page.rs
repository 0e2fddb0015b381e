//! The page of an incident as whoever opens and prints it gets it. What was issued tries to be markup.

use serde_json::{Value, json};
use tests::server::ServerSetup;
use tests::tools::{chromium, node_package};

use crate::given::{asked_by, eventually, incident, rescind};

#[test]
fn the_page_of_an_incident_is_read_and_printed_in_a_browser_and_loads_nothing() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let (script, image) = ("<script>alert(1)</script>", "<img src=x onerror=alert(2)>");
    let body = json!({"owner": script, "name": image, "scopes": ["campaigns:send"]});
    let issued = admin.post("/v1/tenants/acme/keys", &body).expect(201).json();
    let key = tests::server::IssuedKey {
        key_id: issued["key_id"].as_str().unwrap().to_owned(),
        key: issued["key"].as_str().unwrap().to_owned(),
        position: issued["position"].as_u64().unwrap(),
    };
    let note = json!({"reason": "compromised", "note": script});
    drop(admin.post(&format!("/v1/tenants/acme/keys/{}/revoke", key.key_id), &note).expect(200));
    assert_eq!(asked_by(&admin, &key, "lists-api", "192.0.2.9"), "revoked");
    eventually("the attempt is reported", || {
        (incident(&admin, &key)["attempts"]["count"].as_u64() == Some(1)).then_some(())
    });

    let folder = tempfile::tempdir().unwrap();
    let [file, pdf] = ["incident.html", "incident.pdf"].map(|name| folder.path().join(name));
    let base = ["audit", "incident", &key.key_id, "--tenant", "acme"];
    let report: Value = serde_json::from_str(&rescind(&server, &[&base[..], &["--json"]].concat())).unwrap();
    rescind(&server, &[&base[..], &["--format", "html", "--out", file.to_str().unwrap()]].concat());

    let address = format!("file://{}", file.display());
    let mut node = std::process::Command::new("node");
    node.env("NODE_PATH", node_package("playwright-core", "1.65.1").join("node_modules"));
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/browser/page.cjs"))
        .arg(chromium())
        .arg(&address)
        .arg(&pdf);
    let output = node.output().expect("node is on PATH");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(seen["requests"], json!([address]), "the page and nothing else");
    assert_eq!(
        (&seen["dialogs"], &seen["errors"]),
        (&json!([]), &json!([])),
        "nothing runs, nothing is missing"
    );
    let elements: Vec<&str> =
        seen["elements"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for bad in ["script", "img", "link", "iframe", "object", "form", "a"] {
        assert!(!elements.contains(&bad), "{bad}: {elements:?}");
    }
    assert_eq!(seen["title"], format!("Incident of an API key: {}", key.key_id));
    let head = ["When", "What", "More", "Known", "Service", "Refused", "Valid before", "Last seen"];
    assert_eq!(seen["head"].as_array().unwrap()[..8], head.map(|name| json!(name)));
    let rows = seen["rows"].as_array().unwrap();
    let lines = report["timeline"].as_array().unwrap();
    for (row, line) in rows.iter().zip(lines) {
        assert_eq!(row[0], *line["at"].as_str().unwrap_or("not known"), "{row} {line}");
    }
    let told = |words: &str| rows.iter().any(|row| row.to_string().contains(words));
    assert!(told("revoked") && told("refused by server") && told(script) && told("lists-api"), "{rows:?}");
    let sum = seen["sum"].as_str().unwrap();
    let exposure = format!("{} ms", report["exposure"]["ms"]);
    assert!(sum.contains(&exposure) && sum.contains("revocation"), "{sum}");
    let places: Vec<f64> =
        seen["order"].as_array().unwrap().iter().map(|top| top.as_f64().unwrap()).collect();
    assert!(places.is_sorted(), "whose key, the sum, and then the table: {places:?}");
    assert!(seen["overflow"].as_i64().unwrap() <= 0, "{seen}");
    assert_eq!(seen["background"], "rgb(255, 255, 255)", "paper stays white");
    assert!(std::fs::read(&pdf).unwrap().starts_with(b"%PDF"), "it prints");
}
