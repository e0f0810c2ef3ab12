// "Custom Claims", the front end
import type { ChatSDK } from '@chatsdk/core';

function AdminPanel() {
  return <div id="panel">Admin panel</div>;
}

// Corrected: the guide returns the element outside of a component.
export function Panel({ sdk }: { sdk: ChatSDK }) {
  // [spec custom-claims]
  // Frontend: Access custom claims
  const userInfo = sdk.getCurrentUser();
  console.log(userInfo.custom.role); // 'admin'

  // Use for UI permissions
  if (userInfo.custom.role === 'admin') {
    return <AdminPanel />;
  }
  // [/spec]
  return null;
}
