// The page: every panel once, then the engine.

import { placeTips } from './control'
import { alerts } from './panels/alerts'
import { chart } from './panels/chart'
import { checkPanel } from './panels/check'
import { devicePanel, lastChoice } from './panels/device'
import { drop } from './panels/drop'
import { live } from './panels/live'
import { runPanel } from './panels/run'
import { runsPanel } from './panels/runs'
import { samplePanel } from './panels/sample'
import { settings } from './panels/settings'
import { textPanel } from './panels/text'
import { start } from './session'
import { chooseText } from './source'

alerts()
devicePanel()
textPanel()
settings()
runPanel()
chart()
live()
samplePanel()
runsPanel()
checkPanel()
drop()
placeTips(document)

void chooseText('embedded')
void start(lastChoice())
