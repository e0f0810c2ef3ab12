/** Where the page begins: `?user=ann` says who signs in, `?ttl=10s` how long an access token lives. */
import { createRoot } from 'react-dom/client';
import { DevPage } from './DevPage.tsx';
import { Demo } from './demo.ts';
import './style.css';

const query = new URLSearchParams(location.search);
const userId = query.get('user') || 'ann';
const ttl = query.get('ttl');
const root = document.getElementById('root');
if (root === null) throw new Error('The page has no root element.');
createRoot(root).render(<DevPage demo={new Demo(userId, ttl)} userId={userId} ttl={ttl} />);
