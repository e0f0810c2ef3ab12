"""The tokens stand up to an independent library."""

import jwt
import pytest


def test_pyjwt_verifies_an_access_token(server):
    reply = server.mint(userId="ann", name="Ann", custom={"role": "admin"})
    token = reply["accessToken"]
    keys = jwt.PyJWKClient(f"{server.api}/.well-known/jwks.json")
    key = keys.get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="chatsdk", issuer="http://localhost:5500")
    assert claims["sub"] == "ann"
    assert claims["sid"] == reply["sessionId"]
    assert claims["custom"] == {"role": "admin"}
    assert claims["exp"] * 1000 == reply["expiresAt"]
    header = jwt.get_unverified_header(token)
    assert header["typ"] == "at+jwt" and header["alg"] == "EdDSA"


def test_pyjwt_refuses_a_changed_token(server):
    token = server.mint(userId="ann")["accessToken"]
    head, payload, signature = token.split(".")
    changed = f"{head}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}"
    key = jwt.PyJWKClient(f"{server.api}/.well-known/jwks.json").get_signing_key_from_jwt(token)
    with pytest.raises(jwt.InvalidTokenError):
        jwt.decode(changed, key, algorithms=["EdDSA"], audience="chatsdk")
