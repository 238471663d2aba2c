"""The certificate authority that is made when none is given."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.identity.authority.made_certificates import NOW, make, plugged_in
from xds_server.exceptions import InputError
from xds_server.identity.authority.material import read_generation
from xds_server.identity.authority.self_made import make_files, make_intermediate, make_root, renewed_files

DAY = 86_400.0
YEAR = 365 * DAY
FILES = make_files("mesh.example", NOW)


def certificate(pem: str | bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem if isinstance(pem, bytes) else pem.encode())


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_what_is_made_is_a_good_set_with_its_roots_key_beside_it() -> None:
    assert set(FILES) == {"root-cert.pem", "root-key.pem", "ca-cert.pem", "ca-key.pem", "cert-chain.pem"}
    generation = read_generation(FILES, NOW)
    assert generation.chain == (FILES["ca-cert.pem"].decode(),)
    assert generation.roots == (FILES["root-cert.pem"].decode(),)


def test_the_root_lives_ten_years_and_the_intermediate_one_both_back_dated() -> None:
    root, issuer = certificate(FILES["root-cert.pem"]), certificate(FILES["ca-cert.pem"])
    begin = moment(NOW) - timedelta(minutes=2)
    assert (root.not_valid_before_utc, root.not_valid_after_utc) == (begin, moment(NOW + 3_650 * DAY))
    assert (issuer.not_valid_before_utc, issuer.not_valid_after_utc) == (begin, moment(NOW + YEAR))


def test_the_trust_domain_is_the_organisation_cut_to_what_the_standard_allows() -> None:
    for domain, expected in (("mesh.example", "mesh.example"), ("a" * 100, "a" * 64)):
        root, _ = make_root(domain, NOW)
        names = certificate(root).subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert [name.value for name in names] == [expected]


def test_openssl_takes_root_and_intermediate_by_its_strict_rules(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    rules = ["-x509_strict", "-attime", str(int(NOW)), "-CAfile", str(tmp_path / "root-cert.pem")]
    subprocess.run(["openssl", "verify", *rules, tmp_path / "ca-cert.pem"], check=True)


def test_the_intermediate_may_sign_leaves_only_and_never_outlives_its_root() -> None:
    root, key = make_root("mesh.example", NOW - 3_600 * DAY)
    made, _ = make_intermediate(root, key, "mesh.example", NOW)
    constraints = certificate(made).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert certificate(made).not_valid_after_utc == certificate(root).not_valid_after_utc


def test_an_intermediate_is_not_made_under_an_expired_root_or_with_anothers_key() -> None:
    root, key = make_root("mesh.example", NOW - 3_651 * DAY)
    with pytest.raises(InputError, match="the root is expired"):
        make_intermediate(root, key, "mesh.example", NOW)
    with pytest.raises(InputError, match=r"root-key.pem.*none of the certificates"):
        make_intermediate(root, make_root("mesh.example", NOW)[1], "mesh.example", NOW)


@pytest.mark.parametrize(
    ("age", "renewed"),
    [
        (0.0, set()),
        (243 * DAY, set()),
        (244 * DAY, {"ca-cert.pem", "ca-key.pem", "cert-chain.pem"}),
        (400 * DAY, {"ca-cert.pem", "ca-key.pem", "cert-chain.pem"}),
        (8 * YEAR + DAY, set(FILES)),
        (11 * YEAR, set(FILES)),
    ],
)
def test_the_intermediate_is_renewed_in_its_last_third_and_the_root_in_its_last_fifth(
    age: float, renewed: set[str]
) -> None:
    new = renewed_files(FILES, "mesh.example", NOW + age)
    assert {name for name in FILES if new and new[name] != FILES[name]} == renewed
    if new:
        assert read_generation(new, NOW + age)
        assert renewed_files(new, "mesh.example", NOW + age) is None


def test_an_intermediate_is_renewed_under_any_root_whose_key_lies_beside_it() -> None:
    root = make("root")
    files = plugged_in(root) | {"root-key.pem": root.key_pem}
    new = renewed_files(files, "mesh.example", NOW + 75 * DAY)
    assert new
    assert read_generation(new, NOW + 75 * DAY).roots == (root.pem.decode(),)


def test_roots_that_an_operator_added_stay_when_anything_is_renewed() -> None:
    added = make("added").pem
    files = {**FILES, "root-cert.pem": FILES["root-cert.pem"] + added}
    intermediate = renewed_files(files, "mesh.example", NOW + 300 * DAY)
    root = renewed_files(files, "mesh.example", NOW + 9 * YEAR)
    assert intermediate
    assert intermediate["root-cert.pem"] == files["root-cert.pem"]
    assert root
    assert root["root-cert.pem"].endswith(added)
    assert FILES["root-cert.pem"] not in root["root-cert.pem"]


def test_certificates_from_elsewhere_are_never_renewed() -> None:
    assert renewed_files(plugged_in(), "mesh.example", NOW + 99 * DAY) is None


def test_a_root_key_beside_certificates_from_elsewhere_is_refused() -> None:
    files = plugged_in() | {"root-key.pem": FILES["root-key.pem"]}
    with pytest.raises(InputError, match=r"root-key.pem.*no root-key.pem beside certificates from elsewhere"):
        renewed_files(files, "mesh.example", NOW)
