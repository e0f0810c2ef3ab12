// "Never Expose API Keys", "Always do this"
import { yourAuthToken } from './host.ts';

export async function getTokens() {
  // [spec api-key-on-the-backend]
  // Safe: API key stays on your backend
  // Corrected: POST, and the JSON of the answer; the guide has the Response in `tokens`.
  const response = await fetch('https://YOUR-backend.com/api/chat/token', {
    method: 'POST',
    headers: { Authorization: `Bearer ${yourAuthToken}` },
  });
  const tokens = await response.json();
  // [/spec]
  return tokens;
}
