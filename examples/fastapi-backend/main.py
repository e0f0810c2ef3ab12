"""A backend that signs people in by itself, and gets chat tokens for them. See README.md for how to call it.

Needs CHATSDK_API_URL and CHATSDK_API_KEY. The accounts, and the sessions in memory, stand for yours.
"""

import hmac
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from chatsdk import AsyncChatSDKServer, ChatSDKError, TokenRequest, TokenVerificationError
from chatsdk.fastapi import RefreshCookie, cookie_router, token_router
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel


@dataclass(frozen=True)
class Account:
    """Somebody who can sign in."""

    id: str
    name: str
    department: str
    password: str
    chat: bool


ACCOUNTS = {
    "ann": Account("user-1", "Ann", "sales", "ann-secret", chat=True),
    "bob": Account("user-2", "Bob", "support", "bob-secret", chat=True),
    "eve": Account("user-3", "Eve", "press", "eve-secret", chat=False),
}
SESSIONS: dict[str, Account] = {}
"""Your session tokens, and whom they belong to."""

chat = AsyncChatSDKServer(issuer=os.getenv("CHATSDK_ISSUER"))


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the connections to ChatSDK with the app."""
    yield
    await chat.aclose()


app = FastAPI(lifespan=lifespan)
Bearer = Annotated[str, Header(alias="Authorization")]


class Login(BaseModel):
    """What the login takes."""

    login: str
    password: str


# 1. Your own login. ChatSDK never sees a password.
@app.post("/api/login")
def login(given: Login) -> dict[str, str]:
    """Sign somebody in."""
    account = ACCOUNTS.get(given.login)
    if account is None or not hmac.compare_digest(account.password.encode(), given.password.encode()):
        raise HTTPException(401, "Unauthorized")
    token = secrets.token_urlsafe(32)
    SESSIONS[token] = account
    return {"token": token}


def get_current_user(authorization: Bearer = "") -> Account:
    """Your own authentication: who is asking, by ``Authorization: Bearer <token of your login>``."""
    account = SESSIONS.get(authorization.removeprefix("Bearer "))
    if account is None:
        raise HTTPException(401, "Unauthorized")
    return account


CurrentUser = Annotated[Account, Depends(get_current_user)]


def chat_user(user: CurrentUser) -> TokenRequest:
    """Tell ChatSDK of somebody. ``custom`` travels in the token, where its bearer can read it."""
    # Here, and not above: everybody may sign out.
    if not user.chat:
        raise HTTPException(403, "No chat access")
    return TokenRequest(user_id=user.id, name=user.name, custom={"department": user.department})


# 2. POST /api/chat/token: chat tokens for whoever is signed in. The SDK in the frontend refreshes them by itself.
app.include_router(token_router(chat, chat_user), prefix="/api/chat")

# 2b. The same with the refresh token in an httpOnly cookie: `refreshTokens` of the SDK calls `/refresh`. Neither it
# nor `/logout` asks who is there: the cookie says so, though your own session may have ended.
# Safari takes no Secure cookies from http://localhost; everywhere else leave `secure` alone.
cookie = RefreshCookie(path="/api/session", secure=os.getenv("INSECURE_COOKIES") != "1")
app.include_router(cookie_router(chat, chat_user, cookie=cookie), prefix="/api/session")


# 3. Your own logout ends the chat on every device of theirs, within a second. The chat first: where it cannot be
# told, they are still signed in here and can try again.
@app.post("/api/auth/logout", status_code=204)
async def logout(user: CurrentUser, authorization: Bearer = "") -> None:
    """Sign somebody out."""
    try:
        await chat.revoke_user(user.id)
    except ChatSDKError as error:
        raise HTTPException(503, f"Not signed out, try again: {error.code}") from None
    SESSIONS.pop(authorization.removeprefix("Bearer "), None)


# 4. Another backend of yours that is given a chat token verifies it without asking anybody.
@app.get("/api/whoami")
async def who_am_i(authorization: Bearer = "") -> dict[str, object]:
    """Say whose chat token this is."""
    try:
        token = await chat.verify_token(authorization.removeprefix("Bearer "))
    except TokenVerificationError as error:
        raise HTTPException(401, error.code) from None
    except ChatSDKError as error:
        raise HTTPException(503, error.code) from None
    return {"userId": token.user_id, "department": (token.user.get("custom") or {}).get("department")}
