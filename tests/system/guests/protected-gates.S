# Gates, privilege changes, tasks and virtual-8086 mode (SDM vol. 3A chapters 5, 6, 8; vol. 3B chapter 21).
.include "protected.inc"

.set VECTOR, 0x41
.set GATE41, IDT+VECTOR*8
.set CALL_GATE, EXTRA
.set CALL_GATE16, EXTRA+8
.set GATE_ABSENT, EXTRA+0x10
.set GATE_KERNEL, EXTRA+0x18   # a call gate of privilege 0
.set CODE_ABSENT, EXTRA+0x20
.set TSS_SHORT, EXTRA+0x28
.set CONFORMING, EXTRA+0x30
.set DATA_ABSENT, EXTRA+0x38
.set TASK_STACK, INNER_STACK_TOP
.set V86_CODE, 0x8000           # linear, where virtual-8086 code is copied

.macro INTERRUPTS vector, insn:vararg
    EXPECT_RESUME .Lresume\@
    \insn
.Lresume\@:
    CHECK fault_vector, $\vector
    CHECK fault_rip, $.Lresume\@
    movl $0, resume_rip
.endm

# Fills the second task: where it starts.
.macro NEW_TASK start
    movb $0x89, GDT+TSS2+5
    movl $\start, TSS2_AREA+0x20
    call fill_task
.endm

# The switch to the second task fails half-way: the fault comes back through a task gate, from the new task's first instruction.
.macro TASK_FAULT vector, error, offset, value
    NEW_TASK task_never
    movw $\value, TSS2_AREA+\offset
    GATE_AT IDT+\vector*8, TSS, 0, 0x85
    ljmp $TSS2, $0
    popl note+8
    pushl $2
    popfl
    clts
    DEFAULT_GATE \vector
    CHECK note+8, $\error
    CHECK TSS2_AREA+0x20, $task_never
.endm

# Runs virtual-8086 code with the flags in note+4.
.macro V86 offset
    EXPECT_RESUME .Lresume\@
    movl $\offset, note+32
    jmp enter_v86
.Lresume\@:
    movl $0, resume_rip
.endm

main:
    GATE_AT GDT+CALL_GATE, CODE, gate_target, 0xec, 2
    GATE_AT GDT+CALL_GATE16, CODE, gate_target16, 0xe4, 1
    GATE_AT GDT+GATE_ABSENT, CODE, gate_target, 0x6c
    GATE_AT GDT+GATE_KERNEL, CODE, gate_target, 0x8c
    SEGMENT CODE_ABSENT, 0, 0xfffff, 0x1b, 0xc
    SEGMENT TSS_SHORT, TSS2_AREA, 0x66, 0x89, 0
    SEGMENT CONFORMING, 0, 0xfffff, 0x9f, 0xc
    SEGMENT DATA_ABSENT, 0, 0xfffff, 0x13, 0xc
    # Stacks that do not exist are found out on a stack that does.

    TEST "interrupt gate"
    pushl $0x602
    popfl
    movl %esp, %ebx
    INTERRUPTS VECTOR, int $VECTOR
    movl fault_flags, %eax
    CHECK %eax, $0x602
    movl handler_flags, %eax
    andl $0x600, %eax
    CHECK %eax, $0x400
    subl $12, %ebx
    CHECK handler_rsp, %ebx
    pushl $2
    popfl
    TEST "16-bit gate"
    GATE_AT GATE41, CODE, stub16, 0x86
    movl $0, note+8
    movl %esp, %ebx
    int $VECTOR
    CHECK note+8, $0x4141
    movl %esp, %eax
    CHECK %eax, %ebx
    subl $6, %ebx
    CHECK note+12, %ebx
    DEFAULT_GATE VECTOR
    TEST "from user code"
    DEFAULT_GATE VECTOR, 0xee
    USER_RUN user_int
    CHECK fault_vector, $VECTOR
    CHECK fault_cs, $USER_CODE
    CHECK fault_ss, $USER_DATA
    CHECK fault_rsp, $USER_STACK_TOP
    CHECK handler_ss, $DATA
    CHECK handler_rsp, $STACK_TOP-0x400-20
    TEST "errors of gates"
    DEFAULT_GATE VECTOR
    USER_FAULT 13, VECTOR*8+2, user_int, user_int
    DEFAULT_GATE VECTOR, 0x0e
    FAULT 11, VECTOR*8+2, int $VECTOR
    DEFAULT_GATE VECTOR, 0x8c
    FAULT 13, VECTOR*8+2, int $VECTOR
    DEFAULT_GATE VECTOR
    movw $DATA, GATE41+2
    FAULT 13, DATA, int $VECTOR
    movw $CODE_ABSENT, GATE41+2
    FAULT 11, CODE_ABSENT, int $VECTOR
    movw $0, GATE41+2
    FAULT 13, 0, int $VECTOR
    movw $DATA, IDT+6*8+2
    FAULT 13, DATA+1, ud2
    DEFAULT_GATE 6
    TEST "the inner stack"
    DEFAULT_GATE VECTOR, 0xee
    GATE_AT IDT+10*8, TSS2, 0, 0x85
    # An invalid SS0: #TS needs a stack as well, so it has a task.
    movw $DATA_ABSENT, TSS_AREA+8
    NEW_TASK task_reports
    GATE_AT IDT+12*8, TSS2, 0, 0x85
    EXPECT_RESUME 1f
    movl $user_int, note
    jmp enter_user
1:  CHECK note+8, $DATA_ABSENT
    movw $USER_DATA, TSS_AREA+8
    NEW_TASK task_reports
    EXPECT_RESUME 1f
    movl $user_int, note
    jmp enter_user
1:  CHECK note+8, $USER_DATA-3
    movw $0, TSS_AREA+8
    NEW_TASK task_reports
    EXPECT_RESUME 1f
    movl $user_int, note
    jmp enter_user
1:  CHECK note+8, $0
    movw $DATA, TSS_AREA+8
    DEFAULT_GATE 10
    DEFAULT_GATE 12
    DEFAULT_GATE VECTOR

    TEST "call gate with parameters"
    USER_RUN user_gate
    CHECK fault_vector, $0x40
    # ESP, SS, two parameters, CS, EIP on the inner stack.
    CHECK note+8, $STACK_TOP-0x400-24
    CHECK note+12, $0x2222
    CHECK note+16, $0x1111
    CHECK note+20, $USER_STACK_TOP-8
    CHECK note+24, $USER_DATA
    CHECK note+28, $CODE
    # RET 8 drops the parameters here and there.
    CHECK fault_rsp, $USER_STACK_TOP
    CHECK fault_cs, $USER_CODE
    TEST "16-bit call gate"
    USER_RUN user_gate16
    CHECK fault_vector, $0x40
    CHECK note+8, $STACK_TOP-0x400-10
    CHECK note+12, $0x3333
    TEST "call gate on one level"
    movl %esp, %ebx
    pushl $0x1111
    pushl $0x2222
    lcall $CALL_GATE, $0
    movl %esp, %eax
    CHECK %eax, %ebx
    TEST "errors of call gates"
    FAULT 11, GATE_ABSENT, lcall $GATE_ABSENT, $0
    USER_FAULT 13, GATE_KERNEL, user_kernel_gate, user_kernel_gate
    USER_FAULT 13, CODE, user_jump_gate, user_jump_gate
    TEST "RET FAR outward drops inner segments"
    movl $DATA, %eax
    movw %ax, %es
    movw %ax, %fs
    movl $USER_DATA, %eax
    movw %ax, %gs
    pushl $USER_DATA
    pushl $USER_STACK_TOP
    pushl $USER_CODE
    pushl $user_segments
    EXPECT_RESUME 1f
    lret
1:  CHECK fault_vector, $0x40
    CHECK note+8, $0
    CHECK note+12, $0
    CHECK note+16, $USER_DATA
    movl $DATA, %eax
    movw %ax, %es
    TEST "IRET's faults"
    movl %esp, %ebx
    pushl $USER_DATA
    pushl $USER_STACK_TOP
    pushl $2
    pushl $DATA
    pushl $wrong
    FAULT 13, DATA, iretl
    movl $0, 4(%esp)
    FAULT 13, 0, iretl
    movl $CODE_ABSENT, 4(%esp)
    FAULT 11, CODE_ABSENT, iretl
    movl $CODE+3, 4(%esp)
    FAULT 13, CODE, iretl
    movl $USER_CODE, 4(%esp)
    movl $DATA, 16(%esp)
    FAULT 13, DATA, iretl
    movl $0, 16(%esp)
    FAULT 13, 0, iretl
    movl %ebx, %esp
    TEST "IRET with 16 bits"
    pushw $2
    pushw $CODE
    pushw $1f
    iretw
1:  movl %esp, %eax
    CHECK %eax, %ebx

    TEST "JMP to a task"
    movl $DATA, %eax
    NEW_TASK task_one
    movl $0x5555, %ecx
    movl $1f, note+4
    ljmp $TSS2, $0x1234
    # task_one jumps back.
    CHECK note+8, $TSS2
    CHECK note+12, $0x8765
    CHECK note+16, $TASK_STACK
    CHECK %ecx, $0x5555
1:  str %eax
    CHECK %eax, $TSS
    movl %cr0, %eax
    andl $8, %eax
    CHECK %eax, $8
    clts
    # TSS2 is free again, TSS busy.
    movzbl GDT+TSS2+5, %eax
    CHECK %eax, $0x89
    movzbl GDT+TSS+5, %eax
    CHECK %eax, $0x8b
    movl TSS2_AREA+0x20, %eax
    CHECK %eax, $task_one_left
    TEST "CALL nests, IRET comes back"
    NEW_TASK task_two
    pushl $0x4002
    popfl
    pushl $2
    popfl
    lcall $TSS2, $0
    CHECK note+8, $TSS
    movl note+12, %eax
    andl $0x4000, %eax
    CHECK %eax, $0x4000
    # Both were busy.
    CHECK note+16, $0x8b8b
    movzbl GDT+TSS2+5, %eax
    CHECK %eax, $0x89
    str %eax
    CHECK %eax, $TSS
    pushfl
    popl %eax
    andl $0x4000, %eax
    CHECK %eax, $0
    movl TSS2_AREA+0x24, %eax
    andl $0x4000, %eax
    CHECK %eax, $0
    TEST "through a task gate"
    NEW_TASK task_two
    movl $0, note+8
    lcall $TASK_GATE, $0
    CHECK note+8, $TSS
    USER_RUN user_task
    CHECK fault_vector, $0x40
    TEST "an interrupt through a task gate"
    GATE_AT GATE41, TSS2, 0, 0xe5
    NEW_TASK task_two
    movl $0, note+8
    int $VECTOR
    CHECK note+8, $TSS
    CHECK note+20, $TASK_STACK
    TEST "an exception's error code"
    GATE_AT IDT+13*8, TSS2, 0, 0x85
    NEW_TASK task_error
    movl $0x1f8, %eax
1:  movw %ax, %fs
    nop
    CHECK note+8, $0x1f8
    CHECK note+12, $1b
    DEFAULT_GATE 13
    TEST "the registers' shares"
    NEW_TASK task_registers
    movl $0x11111111, %eax
    movl $0x22222222, %ebx
    movl $0x33333333, %edx
    movl $0x44444444, %esi
    lcall $TSS2, $0
    CHECK %eax, $0x11111111
    CHECK %esi, $0x44444444
    CHECK TSS_AREA+0x28, $0x11111111
    CHECK TSS_AREA+0x34, $0x22222222
    CHECK note+8, $0xaaaa5555
    CHECK note+12, $0xbbbb6666
    TEST "errors of task switches"
    clts
    movl $TSS, %eax
    FAULT 13, TSS, ljmp $TSS, $0
    movb $0x09, GDT+TSS2+5
    FAULT 11, TSS2, ljmp $TSS2, $0
    movb $0x89, GDT+TSS2+5
    FAULT 10, TSS_SHORT, ljmp $TSS_SHORT, $0
    USER_FAULT 13, TSS2, user_tss, user_tss
    pushl $0x4002
    popfl
    movw $TSS2, TSS_AREA
    FAULT 10, TSS2, iretl
    pushl $2
    popfl
    TEST "errors in the new task"
    TASK_FAULT 10, DATA, 0x4c, DATA
    TASK_FAULT 10, 0, 0x4c, 0
    TASK_FAULT 11, CODE_ABSENT, 0x4c, CODE_ABSENT
    TASK_FAULT 11, DATA_ABSENT, 0x54, DATA_ABSENT
    TASK_FAULT 10, TSS, 0x54, TSS
    TASK_FAULT 10, DATA, 0x60, DATA

    TEST "virtual-8086 mode"
    # Code at 0800:0000, its interrupts go to the handlers here.
    movl $v86_code, %esi
    movl $V86_CODE, %edi
    movl $v86_end-v86_code, %ecx
    rep movsb
    movl $0x23002, note+4
    movl $0x0bbb0000, note+8
    V86 v86_arithmetic-v86_code
    CHECK fault_vector, $0x40
    CHECK fault_cs, $0x800
    CHECK fault_rip, $v86_arithmetic_end-v86_code
    movl fault_flags, %eax
    andl $0x20000, %eax
    CHECK %eax, $0x20000
    CHECK note+8, $0x0bbb0aaa
    CHECK handler_rsp, $STACK_TOP-0x400-36
    # ES, DS, FS, GS above SS.
    CHECK STACK_TOP-0x400-16, $0x1000
    CHECK STACK_TOP-0x400-12, $0x700
    CHECK STACK_TOP-0x400-8, $0x700
    CHECK STACK_TOP-0x400-4, $0x700
    CHECK fault_ss, $0x900
    TEST "sensitive instructions below IOPL 3"
    movl $0x20002, note+4
    V86 v86_cli-v86_code
    CHECK fault_vector, $13
    CHECK fault_rip, $v86_cli-v86_code
    V86 v86_pushf-v86_code
    CHECK fault_vector, $13
    V86 v86_popf-v86_code
    CHECK fault_vector, $13
    V86 v86_int-v86_code
    CHECK fault_vector, $13
    CHECK fault_error, $0
    V86 v86_iret-v86_code
    CHECK fault_vector, $13
    V86 v86_hlt-v86_code
    CHECK fault_vector, $13
    V86 v86_lldt-v86_code
    CHECK fault_vector, $6
    # Ports go by the task's map alone.
    V86 v86_in-v86_code
    CHECK fault_vector, $13
    movl $0x23002, note+4
    V86 v86_in-v86_code
    CHECK fault_vector, $13
    TEST "64-KiB limits"
    V86 v86_beyond-v86_code
    CHECK fault_vector, $13
    CHECK fault_error, $0
    TEST "IRET in virtual-8086 mode"
    # IP, CS, FLAGS at 0900:0800.
    movw $v86_int-v86_code, 0x9800
    movw $0x800, 0x9802
    movw $2, 0x9804
    V86 v86_iret-v86_code
    CHECK fault_vector, $0x40
    CHECK fault_rip, $v86_int+2-v86_code
    movl fault_flags, %eax
    andl $0x23000, %eax
    CHECK %eax, $0x23000
    THE_END

user_int:
    int $VECTOR
user_gate:
    pushl $0x1111
    pushl $0x2222
    lcall $CALL_GATE+3, $0
    int $0x40
user_gate16:
    pushw $0x3333
    lcall $CALL_GATE16+3, $0
    int $0x40
user_kernel_gate:
    lcall $GATE_KERNEL, $0
user_jump_gate:
    ljmp $CALL_GATE+3, $0
user_segments:
    movl $USER_DATA, %eax
    movw %ax, %ds
    movl $0, note+8
    movw %es, note+8
    movl $0, note+12
    movw %fs, note+12
    movl $0, note+16
    movw %gs, note+16
    int $0x40
user_task:
    lcall $TASK_GATE+3, $0
    int $0x40
user_tss:
    ljmp $TSS2+3, $0
wrong:
    ud2

gate_target:
    pushl %eax
    movl $USER_DATA, %eax
    movw %ax, %ds
    leal 4(%esp), %eax
    movl %eax, note+8
    movl 12(%esp), %eax
    movl %eax, note+12
    movl 16(%esp), %eax
    movl %eax, note+16
    movl 20(%esp), %eax
    movl %eax, note+20
    movl 24(%esp), %eax
    movl %eax, note+24
    movl $0, note+28
    movw %cs, note+28
    popl %eax
    lret $8
gate_target16:
    movl %esp, note+8
    movzwl 4(%esp), %eax
    movl %eax, note+12
    lretw $2
stub16:
    movl $0x4141, note+8
    movl %esp, note+12
    iretw

fill_task:
    pushl %ecx
    pushl %edi
    pushl %eax
    movl TSS2_AREA+0x20, %eax
    pushl %eax
    movl $TSS2_AREA, %edi
    movl $26, %ecx
    xorl %eax, %eax
    cld
    rep stosl
    popl TSS2_AREA+0x20
    movl $2, TSS2_AREA+0x24
    movl $0xaaaa5555, TSS2_AREA+0x28
    movl $0x8765, TSS2_AREA+0x2c
    movl $TASK_STACK, TSS2_AREA+0x38
    movl $0xbbbb6666, TSS2_AREA+0x40
    movl $DATA, TSS2_AREA+0x48
    movl $CODE, TSS2_AREA+0x4c
    movl $DATA, TSS2_AREA+0x50
    movl $DATA, TSS2_AREA+0x54
    movw $0x68, TSS2_AREA+0x66
    popl %eax
    popl %edi
    popl %ecx
    ret

enter_v86:
    pushl $0x700
    pushl $0x700
    pushl $0x700
    pushl $0x1000
    pushl $0x900
    pushl $0x800
    pushl note+4
    pushl $0x800
    pushl note+32
    iretl

task_one:
    str note+8
    movw $0, note+10
    movl %ecx, note+12
    movl %esp, note+16
    ljmp $TSS, $0
task_one_left:
    ud2
task_two:
    movl TSS2_AREA, %eax
    movl %eax, note+8
    pushfl
    popl note+12
    movl $0, note+16
    movb GDT+TSS+5, %al
    movb %al, note+16
    movb GDT+TSS2+5, %al
    movb %al, note+17
    movl %esp, note+20
    iretl
    jmp task_two
task_error:
    popl note+8
    movl TSS_AREA+0x20, %eax
    movl %eax, note+12
    addl $2, TSS_AREA+0x20
    iretl
task_registers:
    movl %eax, note+8
    movl %esi, note+12
    iretl
# Reports an error code and leaves the nesting behind.
task_reports:
    popl note+8
    movb $0x89, GDT+TSS+5
    movl $TSS, %eax
    ltr %ax
    movb $0x89, GDT+TSS2+5
    pushl $2
    popfl
    clts
    movl resume_rsp, %esp
    jmp *resume_rip
task_never:
    ud2

    .code16
v86_code:
v86_arithmetic:
    movw $0xaaa, note+8-0x7000
    int $0x40
v86_arithmetic_end:
v86_cli:
    cli
v86_pushf:
    pushf
v86_popf:
    popf
v86_int:
    int $0x40
v86_iret:
    iret
v86_iret_end:
v86_hlt:
    hlt
v86_lldt:
    .byte 0x0f, 0x00, 0xd0
v86_in:
    inb $0x80, %al
v86_beyond:
    movl $0x10000, %ebx
    movb (%ebx), %al
v86_end:
