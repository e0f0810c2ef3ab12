"""Verifying access tokens with the published keys: what is refused, and how often the keys are asked for."""

import base64
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from chatsdk import ChatSDKError, ChatSDKServer, NetworkError, TokenVerificationError
from clients import CLIENTS, ISSUER, Moved, OneLoop, is_fetching, settle
from running import e2e
from weather import Answer, Weather


@pytest.fixture
def moved() -> Moved:
    return Moved()


@pytest.fixture(params=CLIENTS, ids=["threads", "loop"])
def chat(request: pytest.FixtureRequest, server: Any, weather: Weather, moved: Moved) -> Iterator[Any]:
    client = request.param(
        api_url=weather.url, api_key=server.key, issuer=ISSUER, max_retries=0, runtime=moved.runtime()
    )
    yield client
    client.close()


@pytest.fixture
def tokens(server: Any) -> Any:
    return server.mint(userId="ann", name="Ann", custom={"role": "admin"})


def refused(chat: Any, token: Any) -> TokenVerificationError:
    with pytest.raises(TokenVerificationError) as caught:
        chat.verify_token(token)
    return caught.value


def unknown(chat: Any, token: Any) -> NetworkError:
    with pytest.raises(NetworkError) as caught:
        chat.verify_token(token)
    return caught.value


def test_accepts_a_token_of_the_server(chat: Any, tokens: Any) -> None:
    token = chat.verify_token(tokens["accessToken"])
    assert (token.user_id, token.session_id, token.expires_at) == ("ann", tokens["sessionId"], tokens["expiresAt"])
    assert token.user == {"id": "ann", "name": "Ann", "custom": {"role": "admin"}}
    assert token.app_id.startswith("app_")


def test_asks_for_the_keys_once_for_many_threads(server: Any, weather: Weather, tokens: Any) -> None:
    with ChatSDKServer(weather.url, server.key, issuer=ISSUER) as chat:
        threads = [threading.Thread(target=chat.verify_token, args=(tokens["accessToken"],)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [seen.path for seen in weather.seen] == ["/.well-known/jwks.json"]
    assert "x-api-key" not in weather.seen[0].headers


def test_takes_tokens_of_its_own_app_alone(chat: Any, server: Any, tokens: Any) -> None:
    app = chat.verify_token(tokens["accessToken"]).app_id
    with ChatSDKServer(server.api, server.key, issuer=ISSUER, app_id=app) as own:
        assert own.verify_token(tokens["accessToken"]).app_id == app
    with ChatSDKServer(server.api, server.key, issuer=ISSUER, app_id=f"{app}x") as other:
        assert refused(other, tokens["accessToken"]).code == "token_invalid"


def test_tells_expired_from_invalid(chat: Any, tokens: Any, moved: Moved) -> None:
    moved.by = 3608
    chat.verify_token(tokens["accessToken"])
    moved.by = 3612
    assert refused(chat, tokens["accessToken"]).code == "token_expired"
    moved.by = -60
    assert refused(chat, tokens["accessToken"]).code == "token_invalid"


def test_refuses_what_is_no_access_token(chat: Any, tokens: Any) -> None:
    header, payload, signature = tokens["accessToken"].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
    changed = ("B" if signature.startswith("A") else "A") + signature[1:]
    wrongs = [tokens["refreshToken"], f"{header}.{payload}.{changed}", f"{none}.{payload}.", "", "nonsense", None]
    for wrong in wrongs:
        error = refused(chat, wrong)
        assert error.code == "token_invalid"
        if wrong:
            assert wrong not in f"{error}{error!r}{vars(error)}"


def test_refuses_what_others_could_make(chat: Any, weather: Weather) -> None:
    key = Ed25519PrivateKey.generate()
    public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
    weather.always(Answer(200, {}, json.dumps({"keys": [{**public, "kid": "k1", "alg": "EdDSA", "use": "sig"}]})))
    now = int(time.time())
    good = {
        "iss": ISSUER,
        "aud": "chatsdk",
        "sub": "ann",
        "sid": "ses_1",
        "client_id": "app_1",
        "jti": "j",
        "iat": now,
        "exp": now + 60,
    }
    header = {"kid": "k1", "typ": "at+jwt"}

    def sign(payload: dict[str, Any], **head: Any) -> str:
        return jwt.encode(payload, key, "EdDSA", headers={**header, **head})

    assert chat.verify_token(sign(good)).user_id == "ann"
    assert chat.verify_token(sign(good, typ="application/at+jwt")).user_id == "ann"
    wrongs = [
        sign({**good, "iss": "https://other.example"}),
        sign({**good, "aud": "other"}),
        sign({**good, "exp": now + 40 * 86_400}),
        sign({**good, "sid": 7}),
        sign({**good, "exp": str(now + 60)}),
        sign({**good, "iat": float(now)}),
        sign(good, typ="JWT"),
        sign(good, typ="rt+jwt"),
        sign(good, crit=["exp"]),
        jwt.encode(good, public["x"] * 2, "HS256", headers=header),
    ]
    wrongs += [sign({name: value for name, value in good.items() if name != left_out}) for left_out in good]
    for wrong in wrongs:
        assert refused(chat, wrong).code == "token_invalid"


def test_lets_nobody_make_it_ask_for_keys_without_end(
    chat: Any, weather: Weather, moved: Moved, tokens: Any, server: Any
) -> None:
    chat.verify_token(tokens["accessToken"])
    _, payload, signature = tokens["accessToken"].split(".")
    made_up = b'{"alg":"EdDSA","kid":"never-was-one","typ":"at+jwt"}'
    header = base64.urlsafe_b64encode(made_up).rstrip(b"=").decode()
    stranger = f"{header}.{payload}.{signature}"
    for _ in range(50):
        # Its key may be younger than the set: that says nothing of the token.
        early = unknown(chat, stranger)
        assert (early.code, early.retryable) == ("network", True)
        assert early.retry_after_ms is not None
        assert 0 < early.retry_after_ms <= 30_000
    assert len(weather.seen) == 1
    moved.by = 31
    assert refused(chat, stranger).code == "token_invalid"
    assert len(weather.seen) == 2

    data = server.process.args[server.process.args.index("--data-dir") + 1]
    rotate = [e2e.BINARY, "signing-key", "rotate", "--emergency", "--data-dir", data]
    subprocess.run(rotate, check=True, capture_output=True)
    kid = jwt.get_unverified_header(tokens["accessToken"])["kid"]
    fresh = tokens["accessToken"]
    # The serving process learns of the rotation within its next look at the database.
    while jwt.get_unverified_header(fresh)["kid"] == kid:
        fresh = server.mint(userId="ann")["accessToken"]
    weather.next()
    moved.by = 62
    assert chat.verify_token(fresh).user_id == "ann"
    assert len(weather.seen) == 1
    # The key of the emergency is no longer published.
    moved.by = 93
    assert refused(chat, tokens["accessToken"]).code == "token_invalid"


def test_an_outage_is_no_invalid_token(chat: Any, weather: Weather, moved: Moved, tokens: Any) -> None:
    def fails() -> ChatSDKError:
        with pytest.raises(ChatSDKError) as caught:
            chat.verify_token(tokens["accessToken"])
        return caught.value

    weather.always("cut")
    assert (fails().code, fails().code) == ("network", "network")
    assert len(weather.seen) == 1
    moved.by = 2
    weather.next()
    chat.verify_token(tokens["accessToken"])
    weather.always("cut")
    moved.by = 700
    chat.verify_token(tokens["accessToken"])
    settle(chat)
    chat.verify_token(tokens["accessToken"])
    assert len(weather.seen) == 1
    weather.next()
    moved.by += 31
    chat.verify_token(tokens["accessToken"])
    weather.wait_for(1)
    settle(chat)
    chat.verify_token(tokens["accessToken"])
    assert len(weather.seen) == 1


def test_keys_that_are_held_are_waited_for_by_nobody(
    chat: Any, weather: Weather, moved: Moved, tokens: Any
) -> None:
    chat.verify_token(tokens["accessToken"])
    weather.always("hang")
    moved.by = 700
    for _ in range(3):
        assert chat.verify_token(tokens["accessToken"]).user_id == "ann"
    assert is_fetching(chat)
    weather.wait_for(1)
    assert len(weather.seen) == 1


def test_a_fetch_that_is_cancelled_makes_way_for_the_next(
    server: Any, weather: Weather, moved: Moved, tokens: Any
) -> None:
    """Whoever ends all tasks of a loop ends this one too, and may go on with the client."""
    chat = OneLoop(api_url=weather.url, api_key=server.key, issuer=ISSUER, runtime=moved.runtime())
    try:
        chat.verify_token(tokens["accessToken"])
        weather.always("hang")
        moved.by = 700
        chat.verify_token(tokens["accessToken"])
        weather.wait_for(1)
        chat.cancel()
        chat.settle()
        assert not is_fetching(chat)
    finally:
        chat.close()


def test_a_fetch_of_keys_has_a_bound_of_its_own(server: Any, weather: Weather, tokens: Any) -> None:
    for kind in CLIENTS:
        weather.always(Answer(503, {"Retry-After": "5"}))
        chat: Any = kind(api_url=weather.url, api_key=server.key, issuer=ISSUER, timeout=60, max_retries=9)
        try:
            # It would be told to wait for longer than it may take.
            error = unknown(chat, tokens["accessToken"])
            assert error.retry_after_ms == 5000
            assert len(weather.seen) == 1
        finally:
            chat.close()


@pytest.mark.parametrize("token", ["\ud800.a.b", "e30.\udfff.c", "a.b.c" + "." * 9, "\0", b"bytes", 7, object()])
def test_refuses_whatever_else_it_is_given(chat: Any, token: Any) -> None:
    assert refused(chat, token).code == "token_invalid"
