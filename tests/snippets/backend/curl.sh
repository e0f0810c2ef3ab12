#!/usr/bin/env bash
# The curls of the specification. What stands between [spec …] and [/spec] is its text; the test puts the address,
# the key and the token of the moment where it has examples.
set -euo pipefail
curl() { command curl --silent --show-error "$@"; }

# [spec mint]
curl -X POST http://localhost:5500/auth/tokens \
  -H "X-API-Key: your-api-key" \
  -H "Content-Type: application/json" \
  -d '{
    "userId": "test-user-123",
    "name": "Test User",
    "avatar": "https://example.com/avatar.jpg"
  }'
# [/spec]
echo
# [spec refresh]
curl -X POST http://localhost:5500/auth/refresh \
  -H "Content-Type: application/json" \
  -d '{
    "refreshToken": "eyJhbGc..."
  }'
# [/spec]
