import { run } from '../shared/switchboard.mjs';
import './listen.mjs';
import './dial.mjs';

await run();
