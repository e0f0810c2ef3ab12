// "Use HTTPS in Production"
import { ChatSDK, type Logger } from '@chatsdk/core';

// Corrected: the guide shows the two members alone.
export function development(logger: Logger) {
  return new ChatSDK({
    logger,
    // [spec development-addresses]
    // Development
    apiUrl: 'http://localhost:5500',
    wsUrl: 'ws://localhost:8001/connection/websocket',
    // [/spec]
  });
}

export function production(logger: Logger) {
  return new ChatSDK({
    logger,
    // [spec production-addresses]
    // Production
    apiUrl: 'https://api.yourdomain.com',
    wsUrl: 'wss://api.yourdomain.com/ws', // Note: wss:// not ws://
    // [/spec]
  });
}
