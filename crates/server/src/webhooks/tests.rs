//! The record of webhooks over a restart, and what it does about a folder that is damaged or another log's.

use super::*;

const LOG: LogId = LogId::from_u128(7);

async fn open(dir: &tempfile::TempDir, log_id: LogId) -> Webhooks {
    let place = RecordPlace::webhooks(dir.path().to_owned());
    Webhooks::open(place, log_id, Reach::Public, vec![Duration::from_secs(1)]).await
}

fn webhook() -> Webhook {
    let by = (1, "01JDA6Z0000000000000000001".to_owned());
    let secret = WebhookSecret::draw(|bytes| bytes.fill(1));
    Webhook::new("acme".parse().unwrap(), "https://lists.example.com/".to_owned(), Vec::new(), by, secret, 7)
}

fn letter() -> DeadLetter {
    DeadLetter { failed_at: 5, attempts: 2, error: "its receiver answered 500".to_owned(), due: false }
}

#[tokio::test]
async fn all_of_it_is_there_after_a_restart() {
    let (dir, id) = (tempfile::tempdir().unwrap(), WebhookId(1));
    let webhooks = open(&dir, LOG).await;
    assert!(!dir.path().join("webhooks").exists(), "nothing is made before it is needed");
    assert!(matches!(webhooks.add(id, webhook()).await, Ok(Added::New)));
    assert!(matches!(webhooks.add(id, webhook()).await, Ok(Added::There(_))));
    for position in [8, 9] {
        let give_up = move |webhook: &mut Webhook| {
            webhook.delivered(position);
            webhook.dead_letters += 1;
            ((), Letters::Put(position, letter()))
        };
        webhooks.progress(id, give_up).await.unwrap();
    }
    assert_eq!(webhooks.redeliver(id, vec![9]).await, Ok(1));
    webhooks.close().await;
    drop(webhooks);

    let webhooks = open(&dir, LOG).await;
    let there = webhooks.find(id).unwrap();
    assert_eq!((there.done, there.dead_letters), (9, 2));
    assert_eq!(there.sign("id", 1, "{}"), webhook().sign("id", 1, "{}"));
    assert_eq!(webhooks.first_due(id), Some(9), "what was asked for is not forgotten");
    let due = DeadLetter { due: true, ..letter() };
    assert_eq!(webhooks.dead_letters(id, 0, 10).await, Ok(vec![(8, letter()), (9, due)]));
    webhooks.progress(id, |_| ((), Letters::Remove(9))).await.unwrap();
    assert_eq!(webhooks.first_due(id), None);
    webhooks.remove(id).await.unwrap();
    assert_eq!(webhooks.dead_letters(id, 0, 10).await, Ok(Vec::new()), "they go with it");
    assert!(webhooks.find(id).is_none());
}

#[tokio::test]
async fn a_record_of_another_log_is_set_aside() {
    let (dir, id) = (tempfile::tempdir().unwrap(), WebhookId(1));
    let webhooks = open(&dir, LOG).await;
    assert!(matches!(webhooks.add(id, webhook()).await, Ok(Added::New)));
    webhooks.close().await;
    drop(webhooks);
    let webhooks = open(&dir, LogId::from_u128(8)).await;
    assert!(webhooks.list(None).is_empty());
    assert!(dir.path().join("webhooks.set-aside-1").is_dir(), "it is kept");
    assert!(matches!(webhooks.add(id, webhook()).await, Ok(Added::New)));
}

#[tokio::test]
async fn a_tenant_and_a_server_have_so_many_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let webhooks = open(&dir, LOG).await;
    for n in 0..TENANT_MAX as u128 {
        assert!(matches!(webhooks.add(WebhookId(n), webhook()).await, Ok(Added::New)));
    }
    assert!(matches!(webhooks.add(WebhookId(99), webhook()).await, Ok(Added::TooMany)));
}
