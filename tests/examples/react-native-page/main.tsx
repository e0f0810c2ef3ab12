import { createRoot } from 'react-dom/client';
import App from '../../../examples/react-native-chat/App.tsx';

createRoot(document.getElementById('root') as HTMLElement).render(<App />);
