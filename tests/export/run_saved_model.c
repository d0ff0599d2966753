/* Runs a signature of a SavedModel by TensorFlow's C API, without Python: the loader that TF Serving uses.
 *
 *   run_saved_model MODEL INPUT OUTPUT float N H W C   raw float32 on standard input and output
 *   run_saved_model MODEL INPUT OUTPUT bytes           one file on standard input, one on standard output
 *
 * INPUT and OUTPUT are tensors of the signature, "operation:index".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tensorflow/c/c_api.h>
#include <tensorflow/c/tf_tstring.h>

static void check(TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s: %s\n", what, TF_Message(status));
    exit(TF_GetCode(status) == TF_INVALID_ARGUMENT ? 3 : 1);
  }
}

static TF_Output tensor_of(TF_Graph* graph, char* name) {
  char* colon = strrchr(name, ':');
  *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(colon + 1)};
  if (output.oper == NULL) {
    fprintf(stderr, "no operation %s\n", name);
    exit(1);
  }
  return output;
}

static char* read_all(size_t* size) {
  size_t room = 1 << 16;
  char* data = malloc(room);
  *size = 0;
  for (size_t got; (got = fread(data + *size, 1, room - *size, stdin)) > 0;) {
    *size += got;
    if (*size == room) data = realloc(data, room *= 2);
  }
  return data;
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  int is_bytes = strcmp(argv[4], "bytes") == 0;
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], tags, 1, graph, NULL, status);
  check(status, "load");
  TF_Output input = tensor_of(graph, argv[2]), output = tensor_of(graph, argv[3]);

  size_t size;
  char* data = read_all(&size);
  TF_Tensor* tensor;
  if (is_bytes) {
    int64_t shape[] = {1};
    tensor = TF_AllocateTensor(TF_STRING, shape, 1, sizeof(TF_TString));
    TF_TString* text = TF_TensorData(tensor);
    TF_TString_Init(text);
    TF_TString_Copy(text, data, size);
  } else {
    int64_t shape[4];
    for (int axis = 0; axis < 4; axis++) shape[axis] = atoll(argv[5 + axis]);
    tensor = TF_AllocateTensor(TF_FLOAT, shape, 4, size);
    if (tensor == NULL || TF_TensorByteSize(tensor) != size) return 2;
    memcpy(TF_TensorData(tensor), data, size);
  }

  TF_Tensor* result = NULL;
  for (int request = 0; request < 2; request++) { /* the second time, too */
    if (result) TF_DeleteTensor(result);
    TF_SessionRun(session, NULL, &input, &tensor, 1, &output, &result, 1, NULL, 0, NULL, status);
    check(status, "run");
  }
  if (is_bytes) {
    TF_TString* text = TF_TensorData(result);
    fwrite(TF_TString_GetDataPointer(text), 1, TF_TString_GetSize(text), stdout);
  } else {
    fwrite(TF_TensorData(result), 1, TF_TensorByteSize(result), stdout);
  }
  TF_CloseSession(session, status);
  return 0;
}
