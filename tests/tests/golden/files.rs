//! Reads the golden files, and holds them to the digests that they had when they were written.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Every golden file and its SHA-256. A row is added with its file and never changed.
const DIGESTS: [(&str, &str); 116] = [
    ("key-ids.txt", "35a2868216f5a911a64fc0841fe13de4d3e9a4c1993ac23a969c9b5ec10d1e03"),
    ("keys-refused.txt", "8829d80a670fff10cc439e0032a0cd9e3f18e214f94943602cb417bba6223eb3"),
    ("keys.txt", "dbcb3e8652f584fa9dfc963fe0480efcce33dbbac02282d55e87e649830db6f7"),
    ("notices/closed.json", "cb78e37aeb32076f01c0b6e74337badad76de0b176a7b5095889213e3198b9d4"),
    ("notices/expired.json", "17e9d1a4f68a8996987052ef881f69a9d551926168354a5b0eb8b0229339200b"),
    ("notices/expiring.json", "e6728e2c3648b8bac7dc64c226f99d490fffd35c08db3c76fecfe74b4e538624"),
    ("notices/expiry_changed-never.json", "6c767607e0a9317582a576b9b99c18101875c1eefefcc2b63baad8f86a4dc8a3"),
    ("notices/expiry_changed.json", "36b86d494faccbf0e83d707aac661d6083907a16bcf704fc6e2440bfd3382e94"),
    ("notices/issued-imported.json", "a7e5cbb70951f3c164608b43fff025d9ccff1c7e15383ef7c298d3572329c103"),
    ("notices/issued-sealed.json", "b78a9e7c2fa5016c33c1d141994a67d557e1d8250cc7b02bcc7ed79736378c9e"),
    ("notices/issued.json", "3afc40838f8f41fd983fe71663659065f23eb28c54ed3da565ecba7c42639aac"),
    ("notices/recalled-all.json", "47cc7d898031220b9222d20e115a8a195caade92ba89fd8a12e6e50dc011cb1e"),
    ("notices/recalled-sealed.json", "4f167c5d3c4338b9e140e7d4e46997d4c681760a0f9df4027734d42bbf68e732"),
    ("notices/recalled.json", "90cfed6f5e57fa8ec798cba0fb6365e215bf244a4154e3d65a567e5317936446"),
    ("notices/reinstated.json", "64eab5d1550c0a0d5460364e2ac402d763d3acb1233dbc8ff1c238dd2b571eb7"),
    ("notices/relabelled-to-none.json", "93241d07b63990c0ac1e8032d844a7b6dcad2076fd2b535a5a490239d595b3d3"),
    ("notices/relabelled.json", "98a60cdc52717c8e94c46c1af277840bfc3cdd8f4ca10e0e7cdf94a0e2596d6a"),
    ("notices/rescoped-to-nothing.json", "a8d878ba8d285c9b6cdcbf7e8985202fa7b95b9b46568523c6828859f49cc1a0"),
    ("notices/rescoped.json", "e3ec2bb47f8ceb29d495deb698d24b859396991471c546325e9cda5dd31f57c7"),
    (
        "notices/restricted-to-anywhere.json",
        "8ada5984581d535ecb32c1dd6b5408133f1557adbd9d3364bc3395af309a758a",
    ),
    ("notices/restricted.json", "4124f27eda7aeca834597ebfc3d3f2a9711b7a876d1eb969f93b2ba2fefb3350"),
    ("notices/revoked-leaked.json", "b3c4dc1b791fcb0dd45e3cc0e2c1af54742e6ab733b50260b453ee394bff6e21"),
    ("notices/revoked-superseded.json", "d23e18d9c013ab29ba65771db68f97446f2bd4aff74f51271f5e95a447561527"),
    ("notices/revoked.json", "15372dd84f961ccdf1eadfcb1549dfd88bd889a85988b241ee73d93b712df6b1"),
    ("notices/rotated.json", "d2206093f2e489a0d8aef26bf05b4caa3d97caff187d8a2b3ef51ee5f04fed28"),
    ("notices/suspended-leaked.json", "45ca3b72c901b7cdc3349a808f4b1b6f35d105650f0c6ee9805ea987eacc73dc"),
    ("notices/suspended.json", "04791cb9fc2d4494537059e3bc9e30575a57126fa9b2f8691e5cc3611d52cb42"),
    ("notices/transferred-sealed.json", "42d8368f1f673a8f98d2128065bae71dfd87338fa19bef8ec39aadbc6c373b1c"),
    ("notices/transferred.json", "42d8368f1f673a8f98d2128065bae71dfd87338fa19bef8ec39aadbc6c373b1c"),
    ("owner-tags.txt", "8c01d0fbf7a4cad75bbc93190db7b0f7c5da0025415e9156dd294c1fe6f0362d"),
    ("request-tags-2.txt", "9ed1143ae9b19b6f09698af80702f028886a0280c656761825888f31719398fb"),
    ("request-tags-3.txt", "3fba38e1242d7f60c7a456701ca196b1a9ba0fbf4feba990009130b6d0f966c4"),
    ("request-tags.txt", "58261038f5522db6ed214d9761f9b728734a5f7867ae02d1b266c5802c43b67c"),
    ("sealed-texts.txt", "29742b99ae3eac6303a4a1c17f0c3ea2363e12940bc6a2a0db9f8e2e63a51e4a"),
    ("v1/ExpiryWarned.hex", "5f0ac548d7132a59132478e587c827b2793e3d5fc45dc5a3415a4178aae54bb0"),
    ("v1/KeyExpired.hex", "7fa3e11af6563c4c9ece786c277aba04956651f57bdaf5e453e1d0e07bbd57f4"),
    ("v1/KeyExpiryChanged-never.hex", "7b5d990030147abc71da36478ae4632143bebf88a5e66a3db90e7025c9ab44ea"),
    ("v1/KeyExpiryChanged.hex", "745d6bca53b8e5bb10e9141ef855a07aa00f67439b2c5213b4493496628b4ae2"),
    ("v1/KeyFirstUsed.hex", "54d5cec67b18386706166a39e95154907d3a605d7b6ebca08701be49dbf39078"),
    ("v1/KeyImported-minimal.hex", "cc7a54de5810913b9b9e6ae711b7f295fd919b8afc7b77adfd6943d8f52a0298"),
    ("v1/KeyImported-sealed.hex", "d1f32cf452e4fd0fa9e168b9d85579c1d4dc0d1e969c4907b886daca3b1088b7"),
    ("v1/KeyImported.hex", "8de8da1ba6e4f62f95666491167617a2c17eb0840f85ef249d5c8080fefc0c35"),
    ("v1/KeyIssued-minimal.hex", "0e8d1fecd5bcdf03432e09e60d0b54fe05289db61418c562c92e7513925b71de"),
    ("v1/KeyIssued-sealed.hex", "2b765b907d729cbee231b8deddef44717b034d439db38811787b5066f50d1ec8"),
    ("v1/KeyIssued-successor.hex", "9c73c4bf0266a01d9caaca06117941cd90023b551a67ac3f0cad7406ac24770a"),
    ("v1/KeyIssued.hex", "02ba80b3b174a97c60f6a1193782b8c3d2e6bfadd85a5a1a1cec6c75282faff5"),
    ("v1/KeyLeaked-minimal.hex", "baead32433beb0e55343ab0865b2058248d615a9e60a643fb122132e29a010f6"),
    ("v1/KeyLeaked-sealed.hex", "5472caa58b729201cb877d50f85baa23c2fcfe4311c2a4d0eeeeb1c452c4a002"),
    ("v1/KeyLeaked.hex", "9d2c5dd098502b736a117fa2f27e5fa4762b7b9bc0af3e4f4f07bac61db60f3b"),
    ("v1/KeyReinstated-minimal.hex", "3d45a31490be9ac4790ab0c102df18d9ff4c7884a58a32f98e3420c322137cfa"),
    ("v1/KeyReinstated-sealed.hex", "cdf70b3e584355cec55b17d64ac7efa7d6f3f437e4bd234454d52ad752f6a17e"),
    ("v1/KeyReinstated.hex", "b0811de8f08a74062f6933d44bd6d9f98b51a0a224cff2ca47a8081301d81110"),
    ("v1/KeyRelabelled-minimal.hex", "37d4d15ac160aeff0e4e9cff06a966b0e23dce0e49fa515aa9b3ac06aeff08d1"),
    ("v1/KeyRelabelled.hex", "8fc63850612c2763aa1bceabced9df554a978a3b05c054c49064afba1e2bbd54"),
    ("v1/KeyRenamed-minimal.hex", "86ad19982d7aab17d52747a870b09f91ca7a092993309a1af0b03228fad2e0f3"),
    ("v1/KeyRenamed-sealed.hex", "84ae5feb4edf870f6ac413ce2c932a42281f7be3937a973be543fd84992ae7a8"),
    ("v1/KeyRenamed.hex", "f747c79f2f2f8e2367bcb5ac0b0bc97773b0d9c67954537b6dde4607c9de04fe"),
    ("v1/KeyRescoped-minimal.hex", "5dcd89cda06b6823575b3f133d88c56306111e0f81c2da71b035bdb825f47295"),
    ("v1/KeyRescoped.hex", "e9752f9fd11a0978b0f36a23bf2829b3330fac3df6680cccd72a921f0982ecfc"),
    ("v1/KeyRestricted-minimal.hex", "f2ac0b2b8611681e2824cad47c2fda948d330306dca6196c18f79d335cb626d9"),
    ("v1/KeyRestricted.hex", "fa279dc5b95043e858e44ffa0152cf847cf98272ba638a0461b68a7849760700"),
    (
        "v1/KeyRevoked-by-holder-sealed.hex",
        "0710250c62d2fbea13a263c231d622db7dc63269290e910106448c5eb5a9b3e1",
    ),
    ("v1/KeyRevoked-by-holder.hex", "00d223926249a1a7b2f097b0ea49963d001b6ea0ebe7c7f8088a58b4a4108f68"),
    ("v1/KeyRevoked-by-policy.hex", "b85eb56fa7a627420dec7a85e7c41e947716deebeb16ebf5afa9020c8a49671a"),
    ("v1/KeyRevoked-by-rotation.hex", "fe9a85acc1ad44ba1b4ed09ad3a557059022904d999016d9b650c831df4d703d"),
    ("v1/KeyRevoked-compromised.hex", "b487359eaf0420406406629bd274e58e055977db6a6471e29670ac7a4f60a243"),
    ("v1/KeyRevoked-leaked.hex", "f65ef85d852dd1b5c2907682ff0ffd70ad7e4232ba526bff0f895002d0712e9a"),
    ("v1/KeyRevoked-other.hex", "e299421c3e9ccd20bb8946780348cb6eb3dcc88e53881c9a7e8193b537167b73"),
    ("v1/KeyRevoked-owner_left.hex", "2005eec187d55a8ca419c195b9b35eb6dc81e6d714c0376ac3d134713ab46dcc"),
    ("v1/KeyRevoked-policy.hex", "f0bcb00b8ca44d9cf876d0f456de97b8110dacb6a0d4a8b06878176ffc6dae45"),
    ("v1/KeyRevoked-requested.hex", "a08bf668fb3dc0bdb3cf7a6cf46dcba0dd8cc125ed39152ded8021321e76dd12"),
    ("v1/KeyRevoked-service_changed.hex", "05c2eb2fa81c876597410885521e901b0862d255d9ec47ced66575a7856163b3"),
    ("v1/KeyRevoked-superseded.hex", "d2da8c58717ebe8ccace7d34d2568c5ed95c8e0ea849b5faf4e88635baa6468b"),
    ("v1/KeyRevoked-unused.hex", "3ae11deb98c71a78f335b31103c19260bc0e0de298de269c0743a8231b8a2224"),
    ("v1/KeyRotated-at.hex", "f4764946f4b861cb1aea0303c0d925f1cc2dab3ef78d9f28a56e38e4145cb743"),
    ("v1/KeyRotated-by_hand.hex", "2096f1e268b552a515c6b48060e4b23e9ae803afac34fbd6b4bebbbc104d68da"),
    ("v1/KeyRotated-on_evidence.hex", "b4e0f5658a85f55df7bd521e646fb1c29fd018cc36818b134ada4312e4eec4fd"),
    ("v1/KeySuspended-investigating.hex", "2719ce99b6a46e115b227b5891fc3b0a2bc7c2d208d8688e7a7f128564600558"),
    ("v1/KeySuspended-leaked.hex", "24c4df42a97a733e4a26d74bc2fedd689fe05bfa80ee06bbc4dbf712a5f2a696"),
    ("v1/KeySuspended-other.hex", "6556ddaf024629940765ddabcc9ef002fafd95a7232ae20f1f1d048383d1ff6b"),
    ("v1/KeySuspended-policy.hex", "783e4ef8b9987f1b252db24b06c2abbb767a4470933ea8b4dcd689dd00557e08"),
    ("v1/KeySuspended-requested.hex", "bb4c6c9ba43e2c153cb49f5723092ce88920311d32e61e197387ae2088ae9dc8"),
    ("v1/KeySuspended-sealed.hex", "5ac9007841c4cfad7c20d0e2a3f60341897d77b54d9862446b9280703e1b600b"),
    ("v1/KeySuspended-unused.hex", "25687b959bef0d6759012563f82ac105ebb78e7a278dd8e83795bffcfdca9a6b"),
    ("v1/KeySuspended.hex", "8ba7105ebc532280502476b00a8f2aeec48fb416972081b6f03dfa80cb7e8b6c"),
    ("v1/KeyTransferred-sealed.hex", "e5b1af07046d4b27f56d1bb11ccdd221f02c3e8a0e303cea7aae6a353e8321ef"),
    ("v1/KeyTransferred.hex", "8dcc89c12b041cf4707dcfcbba1005f1776ad5be86dd4ec7765e40d433d73ca0"),
    ("v1/KeysRecalled-cascade.hex", "e4e2e81ed8fea0ea97f1de1ee44dc53bf7ef55a3bcf2c635c2dc3ba076cea3a6"),
    ("v1/KeysRecalled-compromised.hex", "853ce1aed2bf3a7bc301ed3215a49e75c3242ad218de134e039d4e9645133f64"),
    ("v1/KeysRecalled-leaked.hex", "8510aebe94ce192d694d027341e34f1087a0d6efb35a50186cc9eb2a8f7793c1"),
    ("v1/KeysRecalled-other.hex", "9eafa466acedd22306166f257bca72bb0674a2fa89b6eddcb14db565d6031e6e"),
    ("v1/KeysRecalled-owner_left.hex", "01f72d4edec959f41282770eee712085a5d5f7d2d2a2a5454f7ea0f5a217e5fe"),
    ("v1/KeysRecalled-policy.hex", "9063fda711215070cb801005d1c93c27cc77f7b86c3db590352c2616e8179846"),
    ("v1/KeysRecalled-requested.hex", "440733180faccd93e14e1e078ec59c7930282da9a12b137e74e213b04cffc0ca"),
    ("v1/KeysRecalled-sealed.hex", "e50c5d9e7975af393c85aa17a6064169701a3546c5de8d71b103c95d5121001e"),
    (
        "v1/KeysRecalled-service_changed.hex",
        "589dd10ef03453901b0f91938ff8954e5aa7d505c71e2b06b9059c983b3355f3",
    ),
    ("v1/KeysRecalled-superseded.hex", "a929fec072feece3753ea4df71810db3534a8ae7b8cd52461139030395263391"),
    ("v1/KeysRecalled-unused.hex", "c5a0c09d75420a2e039c1f04d1d64179b47458f2ae7f53b9b41d7b1792bf8885"),
    ("v1/KeysRecalled.hex", "371bb6b00b75bbe149d5f6701b269cdf49eed0421fc9bc59e82069171e521a22"),
    ("v1/OwnerErased.hex", "2d0bfa48913948e236d38e8b2fce69bb3eed796becf3f86e3e5bb5207c03bf3e"),
    ("v1/PolicyRemoved.hex", "1871a3fee3aec2cf55a106881e17cfecc8d7c2019f827f7d480685e49575bcf0"),
    ("v1/PolicySet-minimal.hex", "c6cf04e23380fa5fbf3818c599e035ca8c5eb455f221d37e4758a364c4b8b877"),
    ("v1/PolicySet-sealed.hex", "d05fb6790077c22b83a33b1145feed30d32b3ffcc425c1fe263cb72b441ac05e"),
    ("v1/PolicySet.hex", "4ee83810934fa72994fbcf592d4e9908de738753f40fd5464fe13b87007ef8a2"),
    ("v1/RotationCancelled.hex", "263c94865cff552fd17a13e3a7c8c8ca7cb84926d5dbcb4619cef7c2c1864af3"),
    ("v1/RotationFinished-forced.hex", "5bb209f6af15fb90fec0eaa491fdeecf9d6931044d76d65d74f3698203c88190"),
    ("v1/RotationFinished.hex", "537771a75d69d0071fd75a2589681308adab0c8d1e7afbbe022c272b03906ae1"),
    ("v1/TenantClosed-minimal.hex", "80347543513e6ee7ca7350f80c8cf0e5634f8f2440ce479e571003b5d695b0af"),
    ("v1/TenantClosed-sealed.hex", "95135f304cb10b3244fced0577c2883a8c6bd005c77759715c6860b572661b06"),
    ("v1/TenantClosed.hex", "f5bc77e729d0b13df70725bd0ed669187f1ceaf4f789467ac33f54ce0650deb4"),
    ("v1/TenantConfigured-minimal.hex", "8edfd4ebad6ac539525a1c54e3ae2a20446906d3aac59b13c280fda1363dc329"),
    ("v1/TenantConfigured-sealed.hex", "59318cc9851e95852d955ecfe2ec0ebf7e18b85fca8b066ed399ac15623cedda"),
    ("v1/TenantConfigured.hex", "2ac2f32e4ae114fc02c88981c86a477365298094c940f68aa7c8948dd90ecf60"),
    ("v1/TenantOpened-bootstrap.hex", "3b8463849588f0fcdad452786297441ac24d47aa104aef3f5c96a1a780d0a543"),
    ("v1/TenantOpened-sealed.hex", "96afbf10cb08afa72933429cd4d226955e22f32eefd3a5d71523aa1101f2390e"),
    ("v1/TenantOpened.hex", "e29df015608e9558868a650141c4bc518cf2924b62300c7a722afec013aed189"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

pub(crate) fn text(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("tests/golden/{name}: {error}"))
}

/// The rows of a list of vectors, without its heading.
pub(crate) fn rows(name: &str) -> Vec<String> {
    let rows: Vec<String> =
        text(name).lines().filter(|line| !line.starts_with("# ")).map(str::to_owned).collect();
    assert!(rows.len() > 3, "tests/golden/{name} has lost its rows");
    rows
}

/// The bytes of an event: the first word of each line, the rest of which says what it is.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    text(name).lines().flat_map(|line| unhex(line.split_whitespace().next().unwrap_or_default())).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("golden bytes are hexadecimal");
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::try_from(digit(pair[0]) << 4 | digit(pair[1])).expect("a byte"))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Names in one folder below `tests/golden`.
pub(crate) fn names(below: &str) -> Vec<String> {
    let entries = fs::read_dir(folder().join(below)).expect("a golden folder can be listed");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry can be read"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| format!("{below}{}", entry.file_name().display()))
        .collect();
    names.sort();
    names
}

#[test]
fn no_golden_file_is_edited_removed_or_unknown() {
    let mut found: Vec<String> = ["", "notices/", "v1/"].iter().flat_map(|below| names(below)).collect();
    found.sort();
    let known: Vec<&str> = DIGESTS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        found, known,
        "add a row to DIGESTS for a new file; a golden file is never removed or renamed"
    );
    for (name, digest) in DIGESTS {
        let now = hex(&Sha256::digest(text(name)));
        assert_eq!(
            now, digest,
            "tests/golden/{name} was edited: restore it, and write a new file for a new version"
        );
    }
}
