"""The FastAPI snippet of the specification. What stands between [spec …] and [/spec] is its text."""

from types import SimpleNamespace

from fastapi import Header, HTTPException


def get_current_user(x_user: str = Header("")):
    """The host's own authentication: `x-user` names who is signed in."""
    if x_user != "ann":
        raise HTTPException(401, "Unauthorized")
    return SimpleNamespace(
        id="user-123", name="Ann", avatar_url=None, email="ann@example.com", department="sales"
    )


# [spec fastapi]
from fastapi import FastAPI, Depends
import httpx
import os
app = FastAPI()  # added: the snippet uses it and makes none
@app.post("/api/chat/token")
async def get_chat_token(user = Depends(get_current_user)):
    """Generate ChatSDK token for authenticated user"""
    async with httpx.AsyncClient() as client:
        response = await client.post(
            f"{os.getenv('CHATSDK_API_URL')}/auth/tokens",
            headers={
                "X-API-Key": os.getenv("CHATSDK_API_KEY"),
                "Content-Type": "application/json"
            },
            json={
                "userId": user.id,
                "name": user.name,
                "avatar": user.avatar_url,
                "custom": {
                    "email": user.email,
                    "department": user.department
                }
            }
        )
        return response.json()
# [/spec]
