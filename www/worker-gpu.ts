// The GPU device that the engine opens: kept hold of, so that its loss is told at once.

let device: GPUDevice | null = null

/** Calls `tell` with the reason when the device is lost, or has no memory left; must be called before it is opened. */
export function watchDevice(tell: (reason: string) => void): void {
  if (!('GPUAdapter' in self)) return
  const request = GPUAdapter.prototype.requestDevice
  GPUAdapter.prototype.requestDevice = async function (...options) {
    const opened = await request.apply(this, options)
    device = opened
    void opened.lost.then(({ reason, message }) => {
      tell(reason === 'destroyed' ? 'it was destroyed' : message || 'the browser does not say why')
    })
    opened.addEventListener('uncapturederror', ({ error }) => {
      if (error instanceof GPUOutOfMemoryError) tell('it has no memory left')
    })
    return opened
  }
}

/** Loses the device on purpose; says whether there was one. */
export function destroyDevice(): boolean {
  device?.destroy()
  return device !== null
}
