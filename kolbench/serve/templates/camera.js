
// A photo from the camera: phones open their own camera, other computers show it in a dialog.
function makeCamera(button, phone, dialog, take, complain) {
  const [video, shoot, cancel] = ["video", "#shoot", "#no-shooting"].map((found) => dialog.querySelector(found));
  const onPhone = window.matchMedia("(pointer: coarse)").matches;
  // browsers give it to pages of this computer, and of servers with a certificate
  const live = Boolean(navigator.mediaDevices?.getUserMedia);
  phone.hidden = !onPhone;
  button.hidden = onPhone || !live;
  let stream = null;

  button.addEventListener("click", async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 }, facingMode: "user" } });
    } catch (error) {
      complain(new Error(`The camera cannot be used (${error.name}). Allow it for this page, or choose a photo.`));
      return;
    }
    complain(null);
    video.srcObject = stream;
    dialog.showModal();
    shoot.focus();
    await video.play();
  });

  shoot.addEventListener("click", () => {
    const canvas = blank(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    dialog.close();
    canvas.toBlob((file) => file && take(file), "image/png");
  });
  cancel.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const track of stream?.getTracks() ?? []) track.stop();
    video.srcObject = stream = null;
  });
}
