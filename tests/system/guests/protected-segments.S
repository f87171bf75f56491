# Segments outside 64-bit mode: limits, types, privilege, tables (SDM vol. 3A chapters 3 and 5).
.include "protected.inc"

.set SMALL, EXTRA              # 16 bytes
.set DOWN16, EXTRA+8           # expand-down, offsets 0x1000 to 0xffff
.set DOWN32, EXTRA+0x10        # expand-down, offsets 0x10000 and up
.set READ_ONLY, EXTRA+0x18
.set EXECUTE_ONLY, EXTRA+0x20
.set ABSENT, EXTRA+0x28
.set SHORT_STACK, EXTRA+0x30
.set SHORT_CODE, EXTRA+0x38
.set CONFORMING, EXTRA+0x40
.set CODE_ABSENT, EXTRA+0x48
.set INNER, EXTRA+0x50         # data of privilege 1
.set PAGES, EXTRA+0x58         # 2 pages
.set SHORT_USER, EXTRA+0x60
.set BASE, SCRATCH

.macro LOAD register, selector
    movl $\selector, %eax
    movw %ax, %\register
.endm

.macro STACK_FAULT insn:vararg
    movl $SHORT_STACK, %eax
    movw %ax, %ss
    FAULT 12, 0, \insn
.endm

main:
    SEGMENT SHORT_USER, 0, INNER_STACK_TOP-1, 0xf3, 4
    SEGMENT SMALL, BASE, 15, 0x93, 4
    SEGMENT DOWN16, BASE, 0xfff, 0x97, 0
    SEGMENT DOWN32, 0, 0xffff, 0x97, 4
    SEGMENT READ_ONLY, BASE, 0xfff, 0x91, 4
    SEGMENT EXECUTE_ONLY, 0, 0xfffff, 0x99, 0xc
    SEGMENT ABSENT, 0, 0xfffff, 0x13, 0xc
    SEGMENT SHORT_STACK, 0, INNER_STACK_TOP-1, 0x93, 4
    SEGMENT SHORT_CODE, 0, 0, 0x9b, 4
    movl $short_end-1, %eax
    movw %ax, GDT+SHORT_CODE
    SEGMENT CONFORMING, 0, 0xfffff, 0x9f, 0xc
    SEGMENT CODE_ABSENT, 0, 0xfffff, 0x1b, 0xc
    SEGMENT INNER, 0, 0xfffff, 0xb3, 0xc
    SEGMENT PAGES, BASE, 1, 0x93, 0xc

    TEST "limit"
    LOAD fs, SMALL
    movl $0x44332211, BASE+12
    movl %fs:12, %eax
    CHECK %eax, $0x44332211
    PASS movb %fs:15, %al
    FAULT 13, 0, movb %fs:16, %al
    FAULT 13, 0, movw %fs:15, %ax
    FAULT 13, 0, movl %fs:13, %eax
    FAULT 13, 0, movl %eax, %fs:13
    FAULT 13, 0, incl %fs:13
    FAULT 13, 0, movl %fs:-4, %eax
    FAULT 13, 0, movl %fs:-1, %eax
    TEST "granularity"
    LOAD fs, PAGES
    PASS movb %fs:0x1fff, %al
    FAULT 13, 0, movb %fs:0x2000, %al
    TEST "expand-down, 16 bits"
    LOAD fs, DOWN16
    PASS movb %fs:0x1000, %al
    FAULT 13, 0, movb %fs:0xfff, %al
    FAULT 13, 0, movw %fs:0xfff, %ax
    PASS movb %fs:0xffff, %al
    FAULT 13, 0, movw %fs:0xffff, %ax
    FAULT 13, 0, movb %fs:0x10000, %al
    TEST "expand-down, 32 bits"
    LOAD fs, DOWN32
    FAULT 13, 0, movb %fs:0xffff, %al
    PASS movb %fs:0x10000, %al
    PASS movb %fs:0x20000, %al
    TEST "types"
    LOAD fs, READ_ONLY
    PASS movb %fs:0, %al
    FAULT 13, 0, movb %al, %fs:0
    FAULT 13, 0, lock incl %fs:0
    LOAD fs, CODE
    PASS movb %fs:0x1000, %al
    FAULT 13, 0, movb %al, %fs:0x1000
    FAULT 13, 0, movb %al, %cs:0x1000
    ljmp $EXECUTE_ONLY, $1f
1:  EXPECT_RESUME 2f
    movb %cs:0x1000, %al
2:  CHECK fault_vector, $13
    CHECK fault_error, $0
    ljmp $CODE, $1f
1:
    TEST "null selectors"
    xorl %eax, %eax
    movw %ax, %fs
    FAULT 13, 0, movb %fs:0, %al
    movl $3, %eax
    PASS movw %ax, %fs
    xorl %eax, %eax
    FAULT 13, 0, movw %ax, %ss
    FAULT 6, NO_ERROR, movw %ax, %cs
    TEST "loading data segments"
    movl $0x200, %eax
    FAULT 13, 0x200, movw %ax, %fs
    movl $0x1f8, %eax
    FAULT 13, 0x1f8, movw %ax, %fs
    movl $ABSENT, %eax
    FAULT 11, ABSENT, movw %ax, %fs
    movl $EXECUTE_ONLY, %eax
    FAULT 13, EXECUTE_ONLY, movw %ax, %fs
    movl $TSS, %eax
    FAULT 13, TSS, movw %ax, %fs
    movl $INNER, %eax
    PASS movw %ax, %fs
    movl $INNER+2, %eax
    FAULT 13, INNER, movw %ax, %fs
    # A conforming segment has no privilege.
    movl $CONFORMING+3, %eax
    PASS movw %ax, %fs
    TEST "loading SS"
    movl $ABSENT, %eax
    FAULT 12, ABSENT, movw %ax, %ss
    movl $READ_ONLY, %eax
    FAULT 13, READ_ONLY, movw %ax, %ss
    movl $CODE, %eax
    FAULT 13, CODE, movw %ax, %ss
    movl $DATA+3, %eax
    FAULT 13, DATA, movw %ax, %ss
    movl $USER_DATA, %eax
    FAULT 13, USER_DATA-3, movw %ax, %ss
    TEST "the accessed bit"
    SEGMENT SMALL, BASE, 15, 0x92, 4
    LOAD fs, SMALL
    movl $0, %eax
    movb GDT+SMALL+5, %al
    CHECK %eax, $0x93
    TEST "a failed load keeps the register"
    movl $ABSENT, %eax
    FAULT 11, ABSENT, movw %ax, %fs
    movl $0, %eax
    movw %fs, %ax
    CHECK %eax, $SMALL
    movl BASE, %eax
    movl %fs:0, %ebx
    CHECK %ebx, %eax
    TEST "POP and far loads"
    pushl $ABSENT
    movl %esp, %ebx
    FAULT 11, ABSENT, popl %fs
    CHECK resume_rsp, %ebx
    popl %eax
    movl $0x55, BASE
    movw $SMALL, BASE+4
    lfs BASE, %ecx
    CHECK %ecx, $0x55
    movw $ABSENT, BASE+4
    FAULT 11, ABSENT, lgs BASE, %ecx
    movw $0, BASE+4
    FAULT 13, 0, lss BASE, %ecx

    TEST "stack limits"
    movl %esp, %edx
    movl $INNER_STACK_TOP-0x100, %esp
    movl $INNER_STACK_TOP, %ebp
    STACK_FAULT movb (%ebp), %al
    STACK_FAULT movl -2(%ebp), %eax
    STACK_FAULT movl %eax, -3(%ebp)
    STACK_FAULT addl $1, -3(%ebp)
    movl $SHORT_STACK, %eax
    movw %ax, %ss
    PASS movl -4(%ebp), %eax
    movl $DATA, %eax
    movw %ax, %ss
    movl %edx, %esp
    USER_FAULT 12, 0, user_push, user_push_at
    USER_FAULT 12, 0, user_pop, user_pop_at
    USER_FAULT 12, 0, user_call, user_call_at

    TEST "local descriptor table"
    movl $0x0c, %eax
    FAULT 13, 0x0c, movw %ax, %fs
    movw $LDT, %ax
    PASS lldt %ax
    SEGMENT LDT_AREA-GDT+8, BASE, 0xff, 0x93, 4
    movl $0x0c, %eax
    PASS movw %ax, %fs
    movl $0x6789, BASE+4
    movl %fs:4, %ecx
    CHECK %ecx, $0x6789
    movl $0x104, %eax
    FAULT 13, 0x104, movw %ax, %fs
    sldt %ecx
    CHECK %ecx, $LDT
    movl $0, %eax
    PASS lldt %ax
    movl $DATA, %eax
    FAULT 13, DATA, lldt %ax
    movl $0x0c, %eax
    FAULT 13, 0x0c, lldt %ax
    movb $2, GDT+LDT+5
    movl $LDT, %eax
    FAULT 11, LDT, lldt %ax
    TEST "LTR"
    movl $TSS, %eax
    # It is busy.
    FAULT 13, TSS, ltr %ax
    movl $0, %eax
    FAULT 13, 0, ltr %ax
    movb $9, GDT+TSS2+5
    movl $TSS2, %eax
    FAULT 11, TSS2, ltr %ax
    movb $0x89, GDT+TSS2+5
    str %ecx
    CHECK %ecx, $TSS

    TEST "LAR and LSL"
    movl $SMALL, %eax
    lar %eax, %ecx
    CHECK %ecx, $0x00409300
    lsl %eax, %ecx
    CHECK %ecx, $15
    movl $PAGES, %eax
    lsl %eax, %ecx
    CHECK %ecx, $0x1fff
    movl $0x1234, %ecx
    movl $0x1f8, %eax
    lar %eax, %ecx
    setz %dl
    CHECK %ecx, $0x1234
    movzbl %dl, %edx
    CHECK %edx, $0
    # An interrupt gate has access rights for nobody, a task gate has, and no limit.
    movl $TASK_GATE, %eax
    lar %eax, %ecx
    CHECK %ecx, $0xe500
    movl $0x1234, %ecx
    lsl %eax, %ecx
    CHECK %ecx, $0x1234
    TEST "VERR and VERW"
    movl $READ_ONLY, %eax
    verr %ax
    setz %cl
    verw %ax
    setz %ch
    movzwl %cx, %ecx
    CHECK %ecx, $1
    movl $EXECUTE_ONLY, %eax
    verr %ax
    setz %cl
    movzbl %cl, %ecx
    CHECK %ecx, $0
    TEST "ARPL"
    movl $0x10, %eax
    movl $3, %ecx
    arpl %cx, %ax
    setz %dl
    movzbl %dl, %edx
    CHECK %edx, $1
    CHECK %eax, $0x13

    TEST "the code segment's limit"
    ljmp $SHORT_CODE, $1f
1:  EXPECT_RESUME 2f
    jmp short_end
2:  CHECK fault_vector, $13
    CHECK fault_error, $0
    CHECK fault_cs, $SHORT_CODE
    TEST "at the branch"
    movl %esp, %ebx
    ljmp $SHORT_CODE, $1f
1:  EXPECT_RESUME 2f
3:  call short_end
2:  CHECK fault_rip, $3b
    # No privilege changed: EIP, CS and EFLAGS lie where ESP was.
    leal -12(%ebx), %eax
    CHECK handler_rsp, %eax
    ljmp $SHORT_CODE, $1f
1:  movl $short_end, %eax
    EXPECT_RESUME 2f
3:  jmp *%eax
2:  CHECK fault_rip, $3b
    ljmp $SHORT_CODE, $1f
1:  EXPECT_RESUME 2f
    pushl $short_end+5
3:  ret
2:  CHECK fault_rip, $3b
    ljmp $SHORT_CODE, $1f
1:  EXPECT_RESUME 2f
    orl %eax, %eax
3:  jnz short_end
2:  CHECK fault_rip, $3b
    TEST "running over it"
    ljmp $SHORT_CODE, $1f
1:  EXPECT_RESUME 2f
    jmp short_last
2:  CHECK fault_vector, $13
    CHECK fault_rip, $short_end-2
    TEST "far JMP beyond it"
    FAULT 13, 0, ljmp $SHORT_CODE, $short_end
    FAULT 13, 0, ljmp $SHORT_CODE, $0xffffffff

    TEST "far transfers"
    FAULT 13, 0, ljmp $0, $main
    FAULT 13, DATA, ljmp $DATA, $main
    FAULT 11, CODE_ABSENT, ljmp $CODE_ABSENT, $main
    FAULT 13, USER_CODE-3, ljmp $USER_CODE, $main
    FAULT 13, 0x1f8, lcall $0x1f8, $main
    FAULT 13, CODE, ljmp $CODE+1, $main
    lcall $CONFORMING, $far_return
    USER_RUN user_conforming
    CHECK fault_vector, $0x40
    CHECK fault_cs, $CONFORMING+3
    USER_FAULT 13, CODE, user_to_kernel, user_to_kernel
    TEST "SMSW, LMSW, CLTS"
    movl $8, %eax
    orl $1, %eax
    lmsw %ax
    smsw %ecx
    andl $0xffff, %ecx
    andl $15, %ecx
    CHECK %ecx, $9
    clts
    movl %cr0, %ecx
    andl $8, %ecx
    CHECK %ecx, $0
    USER_FAULT 13, 0, user_clts, user_clts
    THE_END

far_return:
    lret
user_conforming:
    ljmp $CONFORMING, $1f
1:  int $0x40
user_to_kernel:
    ljmp $CODE, $main
user_push:
    movl $SHORT_USER+3, %eax
    movw %ax, %ss
    movl $INNER_STACK_TOP+4, %esp
user_push_at:
    pushl %eax
user_pop:
    movl $SHORT_USER+3, %eax
    movw %ax, %ss
    movl $INNER_STACK_TOP-2, %esp
user_pop_at:
    popl %eax
user_call:
    movl $SHORT_USER+3, %eax
    movw %ax, %ss
    movl $INNER_STACK_TOP+3, %esp
user_call_at:
    call user_clts
user_clts:
    clts

    # The last bytes of SHORT_CODE: an instruction of five bytes begins two before the end.
short_last:
    nop
    .byte 0xb8, 0x11
short_end:
    .byte 0x22, 0x33, 0x44
